//! The real binary: run once, or kept running on a free port.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Runs the binary to its end with something in its environment.
pub(crate) fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(arguments).envs(environment.iter().copied()).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    command.args(arguments).stdin(Stdio::null());
    // Settings of the machine that runs the tests are not the tests'.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CONSENTRY__") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `consentry serve` on a data folder.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
    log: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts it and waits until it says that it is ready.
    pub(crate) fn serve(data: &Path, environment: &[(&str, &str)]) -> Self {
        let data = data.to_str().unwrap();
        let mut child = command(&["serve", "--data", data, "--listen", "127.0.0.1:0"])
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(Ok(ready)) = lines.next() else { panic!("it did not start: {}", log.join().unwrap()) };
        let url = ready.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { child, url, log: Some(log) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a warning, as a power cut does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and waits until it has; its log.
    pub(crate) fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let log = self.log.take().unwrap().join().unwrap();
        assert!(status.success(), "{status}: {log}");
        log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is over already, unless a test failed.
        let _over = self.child.kill();
        let _over = self.child.wait();
    }
}
