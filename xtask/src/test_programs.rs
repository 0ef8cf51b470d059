//! The test programs that cargo compiled, run several at a time: `cargo test` runs one after the other, and the slow ones mostly
//! wait.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::command::{self, cargo, root};
use crate::report::Report;

/// How many programs run at the same time.
const LANES: usize = 2;
/// How long the output of a program may remain open after its end. A failed test leaves processes that have inherited it.
const OUTPUT_LIMIT: Duration = Duration::from_secs(2);
/// The slowest programs. They start first, so that none runs alone at the end.
const SLOW: [&str; 5] = ["soak", "workflows", "remote", "engine", "round_trip"];

/// A compiled test program.
#[derive(Clone, Debug)]
pub(crate) struct TestProgram {
    /// The name of its target: of the crate for unit tests, else of the file.
    pub(crate) name: String,
    /// The executable.
    pub(crate) path: PathBuf,
    /// The directory of its crate, which cargo makes its working directory.
    pub(crate) directory: PathBuf,
}

impl TestProgram {
    /// Gives a command that runs it what cargo would.
    pub(crate) fn configure(&self, mut command: Command) -> Command {
        command.current_dir(&self.directory).env("CARGO_MANIFEST_DIR", &self.directory);
        // Otherwise insta asks the cargo on PATH.
        command.env("INSTA_WORKSPACE_ROOT", root());
        command
    }

    fn from_message(line: &str) -> Option<Self> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_test = message["profile"]["test"].as_bool()?;
        let path = PathBuf::from(message["executable"].as_str().filter(|_| is_test)?);
        let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
        Some(Self { name: message["target"]["name"].as_str()?.to_owned(), path, directory })
    }
}

/// Compiles the tests that `selection` names, or all, and returns their programs.
pub(crate) fn compiled(selection: &[&str]) -> anyhow::Result<Vec<TestProgram>> {
    // The whole workspace: another selection compiles the dependencies again, with other features.
    let mut compile = cargo();
    compile.args(["test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"]);
    let messages = command::output(compile.args(selection).env("SQLX_OFFLINE", "true"))?;
    Ok(messages.lines().filter_map(TestProgram::from_message).collect())
}

/// A command that runs tests, and the name under which its output is shown.
pub(crate) type Named = (String, Command);

/// Runs the commands, [`LANES`] at a time, and shows the output of each when it has ended; that of a single one as it arrives.
pub(crate) fn run_all(mut commands: Vec<Named>) -> Report {
    commands.sort_by_key(|(name, _)| {
        SLOW.iter().position(|slow| name.split(' ').next() == Some(slow)).unwrap_or(SLOW.len())
    });
    let live = commands.len() == 1;
    let queue = Mutex::new(VecDeque::from(commands));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let total = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some((name, command)) = next() {
                    let report = run(&name, command, live)
                        .unwrap_or_else(|error| Report::failed(format!("{name}: {error:#}")));
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(report);
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command and prints its output: as it arrives if `live`, else as one block.
fn run(name: &str, mut command: Command, live: bool) -> anyhow::Result<Report> {
    let started = Instant::now();
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("start {name}"))?;
    // The command has copies of the pipe's end, which would keep it open.
    drop(command);
    let (output, ended) = collect(reader, live);
    let status = child.wait()?;
    let _ = ended.recv_timeout(OUTPUT_LIMIT);
    let output = std::mem::take(&mut *output.lock().unwrap_or_else(PoisonError::into_inner));
    let output = String::from_utf8_lossy(&output);
    if !live {
        println!("\n     Running {name}\n{}", output.trim());
    }
    println!("     {name} took {} s", started.elapsed().as_secs());
    let mut report = counted(name, &output);
    if !status.success() && report.failed == 0 {
        report.add(Report::failed(format!("{name}: {status}")));
    }
    Ok(report)
}

/// Reads a pipe in a thread. Returns what was read so far, and a channel that closes at the end of the pipe.
fn collect(mut reader: std::io::PipeReader, live: bool) -> (Arc<Mutex<Vec<u8>>>, mpsc::Receiver<()>) {
    let output = Arc::new(Mutex::new(Vec::new()));
    let (ends, ended) = mpsc::channel();
    let read = Arc::clone(&output);
    std::thread::spawn(move || {
        let mut part = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = reader.read(&mut part) {
            if live {
                // A closed standard output does not end the tests.
                let _ = std::io::stdout().write_all(&part[..length]);
            }
            read.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&part[..length]);
        }
        drop(ends);
    });
    (output, ended)
}

/// Counts by the last line of each test program, and names the failed tests.
pub(crate) fn counted(name: &str, output: &str) -> Report {
    let mut report = Report::default();
    for line in output.lines() {
        if let Some(result) = line.strip_prefix("test result: ") {
            add_result(result, &mut report);
        } else if let Some(test) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            report.failures.push(format!("{name}: {test}"));
        }
    }
    report
}

/// Adds the numbers of `ok. 3 passed; 0 failed; 1 ignored; …`.
fn add_result(result: &str, report: &mut Report) {
    let number = |label: &str| {
        let before = result.split(label).next().unwrap_or_default();
        before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    report.passed += number(" passed");
    report.failed += number(" failed");
    report.skipped += number(" ignored");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted_and_failed_tests_named() {
        let report = counted(
            "stores",
            "test a ... ok\ntest b ... FAILED\n\
             test result: FAILED. 12 passed; 2 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.02s\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.00s\n\
             test a_test_that_says_test_result ... ok\n",
        );
        assert_eq!((report.passed, report.failed, report.skipped), (13, 2, 3));
        assert_eq!(report.failures, ["stores: b"]);
    }

    #[test]
    fn command_that_fails_without_a_result_is_a_failure() {
        let commands = ["true", "false", "missing-program"].map(|name| (name.to_owned(), Command::new(name)));
        let report = run_all(commands.into());
        assert_eq!(report.failed, 2, "{:?}", report.failures);
    }

    #[test]
    fn process_that_a_program_leaves_does_not_delay_its_end() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'; sleep 600 & echo $! >&2"]);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut child =
            command.stdout(writer.try_clone().expect("a copy")).stderr(writer).spawn().expect("started");
        drop(command);
        let (output, ended) = collect(reader, false);
        child.wait().expect("ended");
        let end = ended.recv_timeout(Duration::from_millis(200));
        assert_eq!(end, Err(mpsc::RecvTimeoutError::Timeout), "the process that was left ended, too");
        let output = String::from_utf8_lossy(&output.lock().expect("read")).into_owned();
        assert_eq!(counted("left", &output).passed, 1, "{output}");
        let left = output.lines().last().expect("its process id");
        assert!(command::succeeds(Command::new("kill").arg(left)));
    }

    #[test]
    fn only_test_programs_are_read_from_cargo() {
        let artifact = |test: bool| {
            format!(
                r#"{{"manifest_path":"/c/Cargo.toml","target":{{"name":"t"}},"profile":{{"test":{test}}},"executable":"/t"}}"#
            )
        };
        let program =
            TestProgram::from_message(&artifact(true)).map(|program| (program.name, program.directory));
        assert_eq!(program, Some(("t".to_owned(), PathBuf::from("/c"))));
        assert!(TestProgram::from_message(&artifact(false)).is_none());
        assert!(TestProgram::from_message("not JSON").is_none());
    }
}
