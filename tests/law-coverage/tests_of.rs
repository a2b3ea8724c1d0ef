//! The tests there are: the functions that the test harness runs, in the files that are compiled, and the cases of the
//! policy.
//!
//! A function counts only if it carries a test attribute, or if `on_both!` makes a test of it for each database: a helper
//! proves nothing, and neither does a file that no module names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::token::{Token, tokens};

/// Something that proves a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Proof {
    /// Where it is, from the workspace's root.
    pub(crate) file: String,
    /// The test's name, or the case's.
    pub(crate) name: String,
    /// Whether it is a case of the policy.
    pub(crate) is_case: bool,
}

/// Every test of the workspace's members and every case of its policy.
pub(crate) fn workspace(root: &Path) -> Result<BTreeSet<Proof>, String> {
    let mut proofs = BTreeSet::new();
    let manifest: Manifest = manifest(root, "Cargo.toml")?;
    let members = manifest.workspace.as_ref().map(|workspace| workspace.members.clone()).unwrap_or_default();
    for member in std::iter::once(String::new()).chain(members) {
        let package: Manifest = manifest_of(root, &member)?;
        for target in package.targets(root, &member) {
            module(root, &target, true, &mut proofs)?;
        }
    }
    let mut cases: Vec<_> = entries(&root.join("policies/cases"))?;
    cases.sort();
    for file in cases.iter().filter(|file| file.ends_with(".toml")) {
        let file = format!("policies/cases/{file}");
        let cases: Cases = toml::from_str(&text(root, &file)?).map_err(|error| format!("{file}: {error}\n"))?;
        let names = cases.case.into_iter().map(|case| case.name);
        proofs.extend(names.map(|name| Proof { file: file.clone(), name, is_case: true }));
    }
    Ok(proofs)
}

#[derive(Deserialize)]
struct Cases {
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
}

/// What of a manifest says where its sources begin.
#[derive(Deserialize)]
struct Manifest {
    workspace: Option<Workspace>,
    package: Option<Package>,
    lib: Option<Target>,
    #[serde(default)]
    bin: Vec<Target>,
    #[serde(default)]
    test: Vec<Target>,
}

#[derive(Deserialize)]
struct Workspace {
    #[serde(default)]
    members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    autotests: Option<bool>,
}

#[derive(Deserialize)]
struct Target {
    path: Option<String>,
}

impl Manifest {
    /// The files at which the package's targets begin.
    fn targets(&self, root: &Path, member: &str) -> Vec<PathBuf> {
        let folder = Path::new(member);
        let named = self.lib.iter().chain(&self.bin).chain(&self.test).filter_map(|target| target.path.clone());
        let mut targets: Vec<PathBuf> = named.map(|path| folder.join(path)).collect();
        if self.package.as_ref().is_some_and(|package| package.autotests != Some(false)) {
            let tests = folder.join("tests");
            let found = entries(&root.join(&tests)).unwrap_or_default();
            targets.extend(found.iter().filter(|file| file.ends_with(".rs")).map(|file| tests.join(file)));
        }
        targets.sort();
        targets.dedup();
        targets
    }
}

fn manifest_of(root: &Path, member: &str) -> Result<Manifest, String> {
    let separator = if member.is_empty() { "" } else { "/" };
    manifest(root, &format!("{member}{separator}Cargo.toml"))
}

fn manifest(root: &Path, file: &str) -> Result<Manifest, String> {
    toml::from_str(&text(root, file)?).map_err(|error| format!("{file}: {error}\n"))
}

fn text(root: &Path, file: &str) -> Result<String, String> {
    fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}\n"))
}

/// The names of what is in a folder.
fn entries(folder: &Path) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}\n", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    Ok(names)
}

/// The tests of a file and of the modules that it names.
fn module(root: &Path, file: &Path, begins: bool, proofs: &mut BTreeSet<Proof>) -> Result<(), String> {
    let shown = file.to_string_lossy().into_owned();
    let source = text(root, &shown)?;
    let found = Found::of(&source);
    let tests = found.tests.into_iter();
    proofs.extend(tests.map(|name| Proof { file: shown.clone(), name: name.to_owned(), is_case: false }));
    let folder =
        if begins { file.parent().unwrap_or(Path::new("")).to_path_buf() } else { file.with_extension("") };
    for name in found.modules {
        module(root, &folder.join(format!("{name}.rs")), false, proofs)?;
    }
    Ok(())
}

/// What a file has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found<'a> {
    tests: BTreeSet<&'a str>,
    modules: Vec<&'a str>,
}

impl<'a> Found<'a> {
    fn of(source: &'a str) -> Self {
        let tokens = tokens(source);
        let mut found = Self::default();
        let mut functions = BTreeSet::new();
        let mut on_both: BTreeSet<&str> = BTreeSet::new();
        let mut rest = tokens.as_slice();
        let (mut is_test, mut is_ignored) = (false, false);
        while let [first, after @ ..] = rest {
            rest = after;
            match (first, after) {
                (Token::Sign('#'), [Token::Sign('['), inner @ ..]) => {
                    let (attribute, after) = bracketed(inner, '[', ']');
                    is_test |= is_test_attribute(attribute);
                    is_ignored |= attribute.first() == Some(&Token::Word("ignore"));
                    rest = after;
                }
                (Token::Word("fn"), [Token::Word(name), after @ ..]) => {
                    functions.insert(*name);
                    if is_test && !is_ignored {
                        found.tests.insert(name);
                    }
                    (is_test, is_ignored) = (false, false);
                    rest = after;
                }
                (Token::Word("mod"), [Token::Word(name), Token::Sign(';'), after @ ..]) => {
                    found.modules.push(name);
                    rest = after;
                }
                (Token::Word("on_both"), [Token::Sign('!'), Token::Sign('('), inner @ ..]) => {
                    let (names, after) = bracketed(inner, '(', ')');
                    on_both.extend(names.iter().filter_map(word));
                    rest = after;
                }
                (Token::Word("on_both"), [Token::Sign('!'), Token::Sign('{'), inner @ ..]) => {
                    let (body, after) = bracketed(inner, '{', '}');
                    found.tests.extend(functions_of(body));
                    rest = after;
                }
                (Token::Word("pub" | "async" | "const" | "unsafe" | "extern" | "crate"), _)
                | (Token::Sign('(' | ')'), _) => {}
                _ => (is_test, is_ignored) = (false, false),
            }
        }
        found.tests.extend(on_both.intersection(&functions));
        found
    }
}

fn word<'a>(token: &Token<'a>) -> Option<&'a str> {
    match token {
        Token::Word(word) => Some(word),
        Token::Sign(_) | Token::Literal => None,
    }
}

/// Whether an attribute makes a test of a function: `test`, or a path that ends in it, with or without arguments.
fn is_test_attribute(attribute: &[Token<'_>]) -> bool {
    let arguments = attribute.iter().position(|token| *token == Token::Sign('('));
    let path = attribute.get(..arguments.unwrap_or(attribute.len())).unwrap_or_default();
    path.last() == Some(&Token::Word("test")) && !path.contains(&Token::Word("cfg"))
}

/// The functions that stand in a body itself, and not in theirs.
fn functions_of<'a>(body: &[Token<'a>]) -> Vec<&'a str> {
    let (mut functions, mut depth) = (Vec::new(), 0_i32);
    for pair in body.windows(2) {
        match pair {
            [Token::Sign('{'), _] => depth += 1,
            [Token::Sign('}'), _] => depth -= 1,
            [Token::Word("fn"), Token::Word(name)] if depth == 0 => functions.push(*name),
            _ => {}
        }
    }
    functions
}

/// What stands before the bracket that closes, and what comes after it.
fn bracketed<'t, 'a>(tokens: &'t [Token<'a>], open: char, close: char) -> (&'t [Token<'a>], &'t [Token<'a>]) {
    let mut depth = 1_u32;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign(sign) if *sign == open => depth += 1,
            Token::Sign(sign) if *sign == close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (tokens.get(..at).unwrap_or_default(), tokens.get(at + 1..).unwrap_or_default());
        }
    }
    (tokens, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(source: &str) -> Vec<&str> {
        Found::of(source).tests.into_iter().collect()
    }

    #[test]
    fn only_what_the_harness_runs_is_a_test() {
        let source = "
            #[test] fn a() {}
            #[tokio::test(flavor = \"multi_thread\")] pub(crate) async fn b() { fn inner() {} }
            #[actix_web::test] #[expect(clippy::panic, reason = \"x\")] async fn c() {}
            fn cap_01_helper() {}
            #[cfg(test)] fn cap_02_helper() {}
            #[test] #[ignore] fn cap_03_left_out() {}
            #[ignore = \"slow\"] #[test] fn cap_04_left_out() {}
            #[test] struct No; fn cap_05_helper() {}
            // #[test] fn cap_06_commented_out() {}
            proptest! { #[test] fn d(x in 0..3) {} }";
        assert_eq!(tests(source), ["a", "b", "c", "d"]);
    }

    #[test]
    fn both_forms_of_on_both_make_tests() {
        assert_eq!(
            tests("on_both!(e, f,); async fn e(_: B) {} async fn f(_: B) {} async fn g(_: B) {}"),
            ["e", "f"]
        );
        assert_eq!(tests("on_both!(typed_wrong); async fn e(_: B) {}"), [""; 0]);
        assert_eq!(
            tests("on_both! { async fn h(store) { fn inner() {} } /// x\n async fn i(store) {} }"),
            ["h", "i"]
        );
        assert_eq!(tests("macro_rules! on_both { ($n:ident) => { #[test] fn $n() {} } }"), [""; 0]);
    }

    #[test]
    fn modules_are_those_that_the_file_names() {
        let found = Found::of("mod a; pub(crate) mod b; mod tests { use x; } // mod c;");
        assert_eq!(found.modules, ["a", "b"]);
    }
}
