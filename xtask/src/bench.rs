//! `bench`: the agent beside PostgreSQL's own programs, on one database, in one run. It measures and judges nothing.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;

use crate::command::{self, cargo, say};
use crate::scratch::Scratch;
use crate::{build, setup};

/// How often each is measured, by turns; the quickest counts, because all else that the machine does only makes it slower.
const ROUNDS: usize = 3;
/// The database that is copied.
const DATABASE: &str = "bench";

/// What one program took.
#[derive(Clone, Copy)]
struct Took {
    time: Duration,
    /// Its own peak of memory (VmHWM), without those that it starts.
    peak: u64,
}

/// Copies and restores a pgbench database of this scale (about 15 MB each) with both, and prints how they compare.
pub(crate) fn run(scale: u32) -> anyhow::Result<()> {
    setup::for_test()?;
    command::run(cargo().args(["build", "-p", "agent"]))?;
    let bench = Bench::prepare(scale)?;
    let (mut dump, mut backup, mut load, mut restore) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        say(&format!("Round {} of {ROUNDS}", round + 1));
        dump.push(bench.pg_dump()?);
        backup.push(bench.backup(round)?);
        load.push(bench.pg_restore(round)?);
        restore.push(bench.restore(round)?);
    }
    println!("\n{} of tables and indexes, the quickest of {ROUNDS}:", bench.size.trim());
    compare("pg_dump -Fc", &dump, "agent, backup", &backup);
    compare("pg_restore -j2", &load, "agent, restore", &restore);
    Ok(())
}

fn compare(theirs: &str, their_rounds: &[Took], ours: &str, our_rounds: &[Took]) {
    let seconds =
        |rounds: &[Took]| rounds.iter().map(|took| took.time.as_secs_f64()).fold(f64::INFINITY, f64::min);
    let peak = |rounds: &[Took]| rounds.iter().map(|took| took.peak).max().unwrap_or(0) / 1024;
    for (name, rounds) in [(theirs, their_rounds), (ours, our_rounds)] {
        println!("  {name:16} {:6.1} s  {:4} MB of memory at most", seconds(rounds), peak(rounds));
    }
    println!("  {ours} / {theirs}: {:.2}", seconds(our_rounds) / seconds(their_rounds));
}

/// A server with the database, and a directory for what is made of it.
struct Bench {
    scratch: Scratch,
    dir: tempfile::TempDir,
    size: String,
}

impl Bench {
    fn prepare(scale: u32) -> anyhow::Result<Self> {
        say("Filling a scratch PostgreSQL");
        let scratch = Scratch::start()?;
        let dir = tempfile::Builder::new().prefix("toygres-bench-").tempdir()?;
        std::fs::copy(build::program("toygres-agent"), dir.path().join("toygres-agent"))?;
        std::fs::write(dir.path().join("password"), "not-a-name-of-anything")?;
        if rustix::process::geteuid().is_root() {
            command::run(Command::new("chown").args(["-R", "postgres"]).arg(dir.path()))?;
        }
        let mut bench = Self { scratch, dir, size: String::new() };
        bench.psql("postgres", &format!("create database {DATABASE}"))?;
        let mut pgbench = bench.program("pgbench", DATABASE)?;
        command::output(pgbench.args(["--initialize", "--quiet", "--scale"]).arg(scale.to_string()))?;
        // Everybody finds the same state: written, and read once.
        bench.psql(DATABASE, "checkpoint")?;
        bench.psql(DATABASE, "select count(*) from pgbench_accounts")?;
        bench.size = bench.psql(DATABASE, "select pg_size_pretty(pg_database_size(current_database()))")?;
        Ok(bench)
    }

    /// A client program of PostgreSQL, connected to a database by its environment.
    fn program(&self, name: &str, database: &str) -> anyhow::Result<Command> {
        let mut command = self.scratch.program(name)?;
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.scratch.port().to_string());
        command.env("PGUSER", "toygres").env("PGDATABASE", database);
        Ok(command)
    }

    fn psql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        command::output(self.program("psql", database)?.args(["-XAtq", "-c", sql]))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pg_dump(&self) -> anyhow::Result<Took> {
        measure(self.program("pg_dump", DATABASE)?.arg("-Fc").arg("-f").arg(self.path("dump")))
    }

    fn pg_restore(&self, round: usize) -> anyhow::Result<Took> {
        let database = format!("restored_{round}");
        self.psql("postgres", &format!("create database {database} template template0"))?;
        let mut restore = self.program("pg_restore", &database)?;
        let took = measure(restore.args(["-j2", "-d", &database]).arg(self.path("dump")))?;
        self.psql("postgres", &format!("drop database {database}"))?;
        Ok(took)
    }

    /// Where the image of a round goes: the store's address and the prefix in it.
    fn place(&self, round: usize) -> (String, String) {
        (format!("file://{}", self.path("store").display()), format!("images/{}/1", id(round)))
    }

    fn agent(&self) -> anyhow::Result<Command> {
        self.scratch.as_its_user(Command::new(self.path("toygres-agent")))
    }

    fn backup(&self, round: usize) -> anyhow::Result<Took> {
        let (store, prefix) = self.place(round);
        let source = json!({
            "host": "127.0.0.1", "port": self.scratch.port(), "username": "toygres", "database": DATABASE,
            "tls": "disable",
        });
        let work = json!({
            "kind": "backup", "image": id(round), "to": { "store": store, "prefix": prefix }, "source": source,
            "image_type": "stock", "databases": [DATABASE], "streams": 2, "bin_dir": null,
        });
        let task = json!({ "run": id(round), "step": "bench", "attempt": 1, "work": work, "log": null });
        let path = self.path("task.json");
        std::fs::write(&path, task.to_string())?;
        measure(self.agent()?.arg("run").arg("--task").arg(path))
    }

    fn restore(&self, round: usize) -> anyhow::Result<Took> {
        let (store, prefix) = self.place(round);
        let data = self.path("restored");
        let mut agent = self.agent()?;
        agent.arg("restore").arg(format!("{store}/{prefix}")).arg("--data-dir").arg(&data);
        agent.arg("--password-file").arg(self.path("password")).args(["--streams", "2"]);
        let took = measure(&mut agent)?;
        std::fs::remove_dir_all(data)?;
        std::fs::remove_dir_all(self.path("store"))?;
        Ok(took)
    }
}

/// An id for a round.
fn id(round: usize) -> String {
    format!("00000000-0000-4000-8000-{round:012}")
}

/// Runs a program to its end.
fn measure(command: &mut Command) -> anyhow::Result<Took> {
    let name = command.get_program().to_string_lossy().into_owned();
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("start {name}"))?;
    let mut peak = 0;
    let status = loop {
        peak = peak.max(high_water(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(Took { time: began.elapsed(), peak })
}

/// The most memory that a process has had so far, in kB.
fn high_water(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
