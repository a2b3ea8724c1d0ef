//! AWS KMS as moto plays it, and one that refuses whatever it is asked.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) struct Kms {
    process: Child,
    pub(crate) url: String,
}

impl Kms {
    /// One with no keys.
    pub(crate) fn start() -> Self {
        let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/moto_server");
        let program = std::env::var_os("MOTO_SERVER").map_or(own, PathBuf::from);
        let program = if program.exists() { program } else { PathBuf::from("moto_server") };
        // The port is free at this moment; whoever takes it before moto does makes this test fail, not lie.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("moto_server is missing ({error}): run scripts/test, or pip install 'moto[server]'")
            });
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(process.try_wait().unwrap().is_none(), "moto_server ended: pip install 'moto[server]'");
            assert!(begun.elapsed() < Duration::from_secs(60), "moto_server does not answer");
            std::thread::yield_now();
        }
        Self { process, url: format!("http://127.0.0.1:{port}") }
    }

    /// Asks the service for something.
    pub(crate) async fn asks(&self, action: &str, body: &Value) -> Value {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let scope = "Credential=q7/20261122/eu-central-1/kms/aws4_request";
        let request = http
            .post(&self.url)
            .header("x-amz-target", format!("TrentService.{action}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"))
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{action}: {}", answer.text().await.unwrap());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null)
    }

    /// Makes a key and says its id.
    pub(crate) async fn makes_key(&self) -> String {
        let made = self.asks("CreateKey", &json!({ "Description": "consentry test" })).await;
        made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn environment(&self, key: &str) -> Vec<(&'static str, String)> {
        environment(&self.url, key)
    }
}

impl Drop for Kms {
    fn drop(&mut self) {
        let _over = self.process.kill();
        let _over = self.process.wait();
    }
}

/// What a gateway needs in its environment to use a service.
pub(crate) fn environment(url: &str, key: &str) -> Vec<(&'static str, String)> {
    vec![
        ("CONSENTRY__KEYS__PROVIDER", "aws-kms".to_owned()),
        ("CONSENTRY__KEYS__AWS_KMS__KEY_ID", key.to_owned()),
        ("CONSENTRY__KEYS__AWS_KMS__REGION", "eu-central-1".to_owned()),
        ("CONSENTRY__KEYS__AWS_KMS__ENDPOINT_URL", url.to_owned()),
        ("AWS_ACCESS_KEY_ID", "q7".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "q7-secret".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}

/// Answers every request with the same refusal, until the program that asked has ended.
pub(crate) fn refuses_with(code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut asked = [0; 8_192];
            let _length = stream.read(&mut asked);
            let body = json!({ "__type": code, "message": "no" }).to_string();
            let head =
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\n";
            let _gone = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
        }
    });
    url
}
