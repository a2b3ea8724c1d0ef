//! Files as they really come: every fault is told by line and code, never by value, and loses no more than it must.

use serde_json::{Value, json};

use crate::harness::{Backend, MARK, TestGateway};

on_both!(
    a_byte_order_mark_and_either_line_end_are_accepted,
    a_cell_that_is_quoted_wrongly_loses_its_line_alone,
    a_line_with_another_number_of_cells_loses_itself_alone,
    a_line_of_ten_megabytes_is_refused_before_its_end,
    a_cell_that_begins_like_a_formula_is_invalid,
    control_characters_and_broken_utf_8_are_invalid,
    a_header_outside_the_closed_set_is_refused_before_anything_is_read,
    a_file_without_rows_is_refused,
    another_content_type_is_refused,
    a_file_of_too_many_rows_is_refused_and_nothing_stays,
    a_person_whom_the_file_names_twice_is_told,
    every_other_fault_of_a_cell_has_its_code,
    parameters_are_checked_and_closed,
    an_upload_that_breaks_off_leaves_nothing_in_force,
);

const AT: &str = "2026-11-01T08:00:00Z";

fn row(name: &str) -> String {
    format!("{name}.{MARK}@example.org,{MARK} {name},{AT}")
}

/// The invalid lines with their codes.
fn invalid(view: &Value) -> Vec<(u64, Vec<String>)> {
    let lines = view["preview"]["invalid"]["lines"].as_array().unwrap();
    assert_eq!(view["preview"]["invalid"]["total"], lines.len(), "{view}");
    let told = lines.iter().map(|line| {
        let codes = line["errors"].as_array().unwrap().iter();
        let codes = codes.map(|error| match error["column"].as_str() {
            Some(column) => format!("{column}: {}", error["code"].as_str().unwrap()),
            None => error["code"].as_str().unwrap().to_owned(),
        });
        (line["line"].as_u64().unwrap(), codes.collect())
    });
    told.collect()
}

/// That nothing of a file is stored.
async fn expect_nothing(gateway: &TestGateway) {
    let database = gateway.database();
    for query in [
        "SELECT count(*) FROM import_row",
        "SELECT count(wrapped_key) FROM import",
        "SELECT count(*) FROM subject",
    ] {
        assert_eq!(database.number(query).await, 0, "{query}");
    }
}

async fn a_byte_order_mark_and_either_line_end_are_accepted(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    for (at, end) in ["\n", "\r\n"].into_iter().enumerate() {
        for (mark, last) in [("", end), ("\u{feff}", ""), ("\u{feff}", end)] {
            let lines = [
                "email,first_name,captured_at".to_owned(),
                row(&format!("anna{at}")),
                row("berta"),
                String::new(),
            ];
            let file = format!("{mark}{}", lines[..3].join(end)) + last;
            let view = importer.previews("", file).await;
            assert_eq!(
                (&view["rows"], &view["preview"]["new"]),
                (&json!(2), &json!(2)),
                "{mark:?} {end:?} {last:?}"
            );
            importer.discards(&view).await.expect(204);
        }
    }
    // Blank lines say nothing, and do not shift the numbers.
    let file = format!("email,first_name,captured_at\r\n\r\n{}\r\n\r\nbroken\r\n", row("anna"));
    let view = importer.previews("", file).await;
    assert_eq!((&view["rows"], invalid(&view)), (&json!(2), vec![(5, vec!["csv_columns".to_owned()])]));
    // UTF-16 is not UTF-8.
    let utf_16: Vec<u8> = "\u{feff}email,captured_at\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    importer.sends("", utf_16).await.expect_problem(422, "invalid_utf8");
}

async fn a_cell_that_is_quoted_wrongly_loses_its_line_alone(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let bad = ["\"open,x", "a\"b,x", "\"a\"b,x", "\"a\" ,x"];
    let mut file = "email,first_name,captured_at\n".to_owned();
    for (at, cell) in bad.iter().enumerate() {
        file.push_str(&format!("p{at}.{MARK}@example.org,{cell},{AT}\n{}\n", row(&format!("good{at}"))));
    }
    file.push_str(&format!("\"quoted.{MARK}@example.org\",\"{MARK}, \"\"the\"\" one\",{AT}\n"));
    let view = importer.previews("", file).await;
    let lines: Vec<_> = (0..4).map(|at| (2 + 2 * at, vec!["csv_quoting".to_owned()])).collect();
    assert_eq!((invalid(&view), &view["preview"]["new"]), (lines, &json!(5)));
    importer.sends("", "email,\"captured_at\n").await.expect_problem(422, "csv_quoting");
}

async fn a_line_with_another_number_of_cells_loses_itself_alone(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let file = format!(
        "email,first_name,captured_at\n{}\n{},more\na.{MARK}@example.org\n{}\n",
        row("anna"),
        row("berta"),
        row("clara")
    );
    let view = importer.previews("", file).await;
    let lines = [3, 4].map(|line| (line, vec!["csv_columns".to_owned()])).to_vec();
    assert_eq!((invalid(&view), &view["preview"]["new"]), (lines, &json!(2)));
    let applied = importer.applies(&view).await;
    assert_eq!(applied["applied"]["new"], 2);
}

async fn a_line_of_ten_megabytes_is_refused_before_its_end(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let long = "x".repeat(10 * 1024 * 1024);
    importer.sends("", long.clone()).await.expect_problem(422, "too_long");
    let file =
        format!("email,first_name,captured_at\n{}\n{}{long}\n{}\n", row("anna"), row("berta"), row("clara"));
    importer.sends("", file).await.expect_problem(422, "too_long");
    let quoted = format!("email,first_name,captured_at\n{}\n\"{long}\"\n", row("anna"));
    importer.sends("", quoted).await.expect_problem(422, "too_long");
    expect_nothing(&gateway).await;
}

async fn a_cell_that_begins_like_a_formula_is_invalid(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let mut file = "email,first_name,interests,captured_at,household_size,evidence_id\n".to_owned();
    let cells = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", " =1"];
    for (at, cell) in cells.iter().enumerate() {
        file.push_str(&format!("p{at}.{MARK}@example.org,{cell},,{AT},,\n"));
    }
    file.push_str(&format!("p5.{MARK}@example.org,,\"music,=1\",{AT},,\n"));
    file.push_str(&format!("=p6.{MARK}@example.org,{MARK},,{AT},,\n"));
    file.push_str(&format!("p7.{MARK}@example.org,{MARK},,{AT},,=e\n"));
    // A number is a number.
    file.push_str(&format!("p8.{MARK}@example.org,,,{AT},-1,\n"));
    file.push_str(&format!("p9.{MARK}@example.org,a=b-c+d@e,,{AT},,\n"));
    let view = importer.previews("", file).await;
    let mut expected: Vec<_> = (2..7).map(|line| (line, vec!["first_name: formula".to_owned()])).collect();
    expected.push((7, vec!["interests: formula".to_owned()]));
    expected.push((8, vec!["email: formula".to_owned()]));
    expected.push((9, vec!["evidence_id: formula".to_owned()]));
    assert_eq!((invalid(&view), &view["preview"]["new"]), (expected, &json!(2)));
}

async fn control_characters_and_broken_utf_8_are_invalid(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let mut file = b"email,first_name,captured_at\n".to_vec();
    for bad in [&b"a\0b"[..], b"\tx", b"a\rb", b"a\x1b[1m", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80"] {
        file.extend([b"p.q7canary@example.org,", bad, b",2026-11-01T08:00:00Z\n"].concat());
    }
    file.extend(row("anna").as_bytes());
    let view = importer.previews("", file).await;
    let expected: Vec<_> = (2..6)
        .map(|line| (line, vec!["first_name: control_character".to_owned()]))
        .chain((6..9).map(|line| (line, vec!["invalid_utf8".to_owned()])))
        .collect();
    assert_eq!((invalid(&view), &view["preview"]["new"]), (expected, &json!(1)));
}

async fn a_header_outside_the_closed_set_is_refused_before_anything_is_read(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    for (header, code, pointer) in [
        ("email,captured_at,shoe_size", "unknown_field", "/header/2"),
        ("email,captured_at,purpose:everything", "unknown_purpose", "/header/2"),
        ("email,captured_at,purchases", "unknown_field", "/header/2"),
        ("email,captured_at,age_band", "unknown_field", "/header/2"),
        ("email;captured_at", "unknown_field", "/header/0"),
        ("email,captured_at,email", "duplicate", "/header/2"),
        ("email,captured_at,city,attribute:city", "duplicate", "/header/3"),
        ("email,captured_at,", "unknown_field", "/header/2"),
        ("first_name,captured_at", "missing_field", "/header"),
        ("email,first_name", "missing_field", "/captured_at"),
        // Somebody's data where the names should be.
        ("anna.q7canary@example.org,captured_at", "unknown_field", "/header/0"),
    ] {
        let answer = importer.sends("", format!("{header}\n{}\n", row("anna"))).await.expect_problem(422, code);
        let errors = answer.json()["errors"].clone();
        assert!(errors.as_array().unwrap().iter().any(|error| error["pointer"] == pointer), "{header}: {errors}");
    }
    let many = format!("email,captured_at{}", ",x".repeat(200));
    importer.sends("", many).await.expect_problem(422, "too_many");
    assert_eq!(gateway.database().number("SELECT count(*) FROM import").await, 0);
    // An attribute may be named in full, too.
    let file = format!("customer_id,attribute:city,captured_at\n{MARK}-7,{MARK},{AT}\n");
    assert_eq!(importer.previews("", file).await["preview"]["new"], 1);
}

async fn a_file_without_rows_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    for empty in ["", "\u{feff}", "\n", "\r\n\r\n"] {
        importer.sends("", empty).await.expect_problem(422, "empty");
    }
    for header in ["email,captured_at", "email,captured_at\n", "email,captured_at\r\n\r\n\n"] {
        importer.sends("", header).await.expect_problem(422, "empty");
    }
    expect_nothing(&gateway).await;
}

async fn another_content_type_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let file = format!("email,first_name,captured_at\n{}\n", row("anna"));
    for kind in ["application/json", "text/plain", "text/csv; charset=latin1", "application/vnd.ms-excel", ""] {
        let request = importer.client.request("POST", "/v1/imports").await;
        let answer = gateway.send(request.header("content-type", kind).body(file.clone())).await;
        answer.expect_problem(415, "unsupported_media_type");
    }
    let request = importer.client.request("POST", "/v1/imports").await;
    let request = request.header("content-type", "text/csv").header("content-encoding", "gzip");
    gateway.send(request.body(file.clone())).await.expect_problem(415, "unsupported_media_type");
    let request = importer.client.request("POST", "/v1/imports").await;
    let request = request.header("content-type", "Text/CSV; charset=UTF-8; header=present");
    gateway.send(request.body(file)).await.expect(201);
}

async fn a_file_of_too_many_rows_is_refused_and_nothing_stays(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let most = gateway.gateway().settings().most_import_rows;
    let file = |rows: u64| {
        let mut file = "email,first_name,captured_at\n".to_owned();
        (0..rows).for_each(|number| file.push_str(&format!("{}\n", row(&format!("p{number}")))));
        file
    };
    importer.sends("", file(most + 1)).await.expect_problem(413, "payload_too_large");
    expect_nothing(&gateway).await;
    let view = importer.previews("", file(most)).await;
    assert_eq!((&view["rows"], &view["preview"]["new"]), (&json!(most), &json!(most)));
}

async fn a_person_whom_the_file_names_twice_is_told(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let file = format!(
        "email,customer_id,first_name,captured_at\n\
         anna.{MARK}@example.org,1,{MARK} one,{AT}\n Anna.{MARK}@EXAMPLE.org ,,{MARK} two,{AT}\n\
         ,1,{MARK} three,{AT}\n,2,{MARK} four,{AT}\n"
    );
    let view = importer.previews("", file).await;
    let lines = [3, 4].map(|line| (line, vec!["duplicate".to_owned()])).to_vec();
    assert_eq!((invalid(&view), &view["preview"]["new"]), (lines, &json!(2)));
    // Two persons who are held apart are not joined by a file.
    importer.applies(&view).await;
    let file = format!("email,customer_id,first_name,captured_at\nanna.{MARK}@example.org,2,{MARK},{AT}\n");
    let view = importer.previews("", file).await;
    assert_eq!(view["preview"]["suppressed"]["by_reason"], json!({ "identifier_conflict": 1 }));
}

async fn every_other_fault_of_a_cell_has_its_code(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let header = "email,region,captured_at,first_name,household_size,birth_date,cart_abandoned,purpose:email_marketing,objected,notice,partner,controllers";
    let blank = ["", "", AT, "", "", "", "", "", "", "", "", ""];
    let columns: Vec<&str> = header.split(',').collect();
    let cases = [
        ("email", "nobody", "invalid_identifier"),
        ("email", "", "missing_field"),
        ("region", "Germany", "invalid_region"),
        ("captured_at", "yesterday", "invalid_field"),
        ("captured_at", "", "missing_field"),
        ("captured_at", "2026-11-22T12:00:00.001Z", "captured_in_future"),
        ("household_size", "two", "invalid_field"),
        ("birth_date", "2026-02-30", "invalid_field"),
        ("cart_abandoned", "maybe", "invalid_field"),
        ("purpose:email_marketing", "yes", "invalid_field"),
        ("objected", "perhaps", "invalid_field"),
        ("notice", "sha256:00", "invalid_field"),
        ("partner", "Lead House!", "invalid_field"),
        ("controllers", "Us & Them", "invalid_field"),
    ];
    let mut file = format!("{header}\n");
    for (at, (column, cell, _)) in cases.iter().enumerate() {
        let mut cells = blank.map(str::to_owned);
        cells[0] = format!("p{at}.{MARK}@example.org");
        cells[3] = MARK.to_owned();
        let place = columns.iter().position(|known| known == column).unwrap();
        cells[place] = (*cell).to_owned();
        file.push_str(&format!("{}\n", cells.join(",")));
    }
    file.push_str(&format!("{MARK}.only@example.org,,{AT},,,,,,,,,\n"));
    file.push_str(&format!("{MARK}.long@example.org,,{AT},{},,,,,,,,\n", MARK.repeat(40)));
    let view = importer.previews("", file).await;
    let mut expected: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(at, (column, _, code))| (at as u64 + 2, vec![format!("{column}: {code}")]))
        .collect();
    expected.push((16, vec!["empty".to_owned()]));
    expected.push((17, vec!["first_name: too_long".to_owned()]));
    assert_eq!((invalid(&view), &view["preview"]["new"]), (expected, &json!(0)));
    // A notice that nobody knows is no fault of form: the row lacks what makes it lawful.
    let file = format!(
        "email,captured_at,notice,purpose:email_marketing\n{MARK}@example.org,{AT},sha256:{},given\n",
        "0".repeat(64)
    );
    let view = importer.previews("?controllers=example_shop", file).await;
    assert_eq!(view["preview"]["quarantined"]["by_reason"], json!({ "notice_unknown": 1 }));
    let file = format!("email,captured_at,purpose:email_marketing\n{MARK}@example.org,{AT},given\n");
    let view = importer.previews("?controllers=example_shop", file).await;
    assert_eq!(view["preview"]["quarantined"]["by_reason"], json!({ "evidence_missing": 1 }));
}

async fn parameters_are_checked_and_closed(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let file = format!("email,first_name\n{MARK}@example.org,{MARK}\n");
    for (query, code) in [
        ("?mode=fast&captured_at=2026-11-01T08:00:00Z", "unknown_field"),
        ("?captured_at=soon", "invalid_field"),
        ("?captured_at=2026-11-22T12:00:01Z", "captured_in_future"),
        ("?captured_at=2026-11-01T08:00:00Z&region=Germany", "invalid_region"),
        ("?captured_at=2026-11-01T08:00:00Z&partner=Lead%20House", "invalid_field"),
        ("?captured_at=2026-11-01T08:00:00Z&controllers=A%26B", "invalid_field"),
        ("?captured_at=2026-11-01T08:00:00Z&notice=1", "invalid_field"),
        ("?captured_at=2026-11-01T08:00:00Z&informed=maybe", "invalid_field"),
        ("?captured_at=2026-11-01T08:00:00Z&evidence=%3D1", "formula"),
    ] {
        importer.sends(query, file.clone()).await.expect_problem(422, code);
    }
    assert_eq!(gateway.database().number("SELECT count(*) FROM import").await, 0);
    let view = importer.previews("?captured_at=2026-11-01T08:00:00Z&region=AT", file).await;
    importer.applies(&view).await;
    let copy = gateway.officer().await.copy(&gateway.person("x").spelled(&format!("{MARK}@example.org"))).await;
    assert_eq!(copy["standing"]["regimes"], json!(["EU_GDPR:AT"]));
    assert_eq!(copy["attributes"].as_array().unwrap().len(), 2);
}

async fn an_upload_that_breaks_off_leaves_nothing_in_force(backend: Backend) {
    use tokio::io::AsyncWriteExt as _;
    let gateway = TestGateway::start(backend).await;
    let importer = gateway.importer().await;
    let head = format!(
        "POST /v1/imports HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer {}\r\nContent-Type: text/csv\r\n\
         Content-Length: 100000\r\n\r\nemail,first_name,captured_at\n{}\n",
        importer.client.token().await,
        row("anna")
    );
    let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let opened = async || gateway.database().number("SELECT count(*) FROM import").await;
    for attempt in 0.. {
        if opened().await == 1 {
            break;
        }
        assert!(attempt < 20_000, "the import is never opened");
    }
    drop(stream);
    // Whether its handler saw the end or not: what is left is given up once nothing came for a while.
    let job = kernel::authz::Authorized::prove(kernel::authz::Actor::Job("suite")).unwrap();
    gateway.clock().advance_ms(15 * 60_000);
    gateway.gateway().tend_imports(&job).await.unwrap();
    expect_nothing(&gateway).await;
    let over = "SELECT count(*) FROM import WHERE status IN ('discarded', 'expired')";
    assert_eq!(gateway.database().number(over).await, 1);
}
