//! `bench`: measures the agent, pg_dump and pg_restore on the same database.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;

use crate::command::{self, step};
use crate::scratch::Scratch;
use crate::{build, setup};

/// The number of measurements of each program, by turns. The quickest counts: other load only makes a program slower.
const ROUNDS: usize = 3;
/// The database that is copied.
const DATABASE: &str = "bench";

/// The cost of one program.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    /// The peak memory of its process (VmHWM) in kB, without its child processes.
    peak: u64,
}

/// Backs up and restores a pgbench database of this scale (about 15 MB each) with each program, and prints the costs.
pub(crate) fn run(scale: u32) -> anyhow::Result<()> {
    setup::for_run()?;
    build::programs()?;
    let bench = Bench::prepare(scale)?;
    let (mut dump, mut backup, mut load, mut restore) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        step(&format!("Round {} of {ROUNDS}", round + 1));
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

fn compare(theirs: &str, their_rounds: &[Cost], ours: &str, our_rounds: &[Cost]) {
    let seconds =
        |rounds: &[Cost]| rounds.iter().map(|cost| cost.time.as_secs_f64()).fold(f64::INFINITY, f64::min);
    let peak = |rounds: &[Cost]| rounds.iter().map(|cost| cost.peak).max().unwrap_or(0) / 1024;
    for (name, rounds) in [(theirs, their_rounds), (ours, our_rounds)] {
        println!("  {name:16} {:6.1} s  {:4} MB of memory at most", seconds(rounds), peak(rounds));
    }
    println!("  {ours} / {theirs}: {:.2}", seconds(our_rounds) / seconds(their_rounds));
}

/// A server with the database, and a directory for the dumps and images.
struct Bench {
    scratch: Scratch,
    dir: tempfile::TempDir,
    size: String,
}

impl Bench {
    fn prepare(scale: u32) -> anyhow::Result<Self> {
        step("Filling a scratch PostgreSQL");
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
        // The same state for every program: written to disk, and cached.
        bench.psql(DATABASE, "checkpoint")?;
        bench.psql(DATABASE, "select count(*) from pgbench_accounts")?;
        bench.size = bench.psql(DATABASE, "select pg_size_pretty(pg_database_size(current_database()))")?;
        Ok(bench)
    }

    /// A client program of PostgreSQL with the database in its environment.
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

    fn pg_dump(&self) -> anyhow::Result<Cost> {
        measure(self.program("pg_dump", DATABASE)?.arg("-Fc").arg("-f").arg(self.path("dump")))
    }

    fn pg_restore(&self, round: usize) -> anyhow::Result<Cost> {
        let database = format!("restored_{round}");
        self.psql("postgres", &format!("create database {database} template template0"))?;
        let mut restore = self.program("pg_restore", &database)?;
        let cost = measure(restore.args(["-j2", "-d", &database]).arg(self.path("dump")))?;
        self.psql("postgres", &format!("drop database {database}"))?;
        Ok(cost)
    }

    /// The store of a round's image, and the prefix in it.
    fn location(&self, round: usize) -> (String, String) {
        (format!("file://{}", self.path("store").display()), format!("images/{}/1", id(round)))
    }

    fn agent(&self) -> anyhow::Result<Command> {
        self.scratch.as_its_user(Command::new(self.path("toygres-agent")))
    }

    fn backup(&self, round: usize) -> anyhow::Result<Cost> {
        let (store, prefix) = self.location(round);
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

    fn restore(&self, round: usize) -> anyhow::Result<Cost> {
        let (store, prefix) = self.location(round);
        let data = self.path("restored");
        let mut agent = self.agent()?;
        agent.arg("restore").arg(format!("{store}/{prefix}")).arg("--data-dir").arg(&data);
        agent.arg("--password-file").arg(self.path("password")).args(["--streams", "2"]);
        let cost = measure(&mut agent)?;
        std::fs::remove_dir_all(data)?;
        std::fs::remove_dir_all(self.path("store"))?;
        Ok(cost)
    }
}

/// The id of a round.
fn id(round: usize) -> String {
    format!("00000000-0000-4000-8000-{round:012}")
}

/// Runs a program and waits for it.
fn measure(command: &mut Command) -> anyhow::Result<Cost> {
    let name = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
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
        bail!("{name} failed: {status}");
    }
    Ok(Cost { time: start.elapsed(), peak })
}

/// The peak memory of a process so far, in kB.
fn high_water(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
