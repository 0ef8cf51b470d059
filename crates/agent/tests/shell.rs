//! The process of a job: its directory, events, result and exit code. The real program is started as the platform starts it.

mod job_dir;
mod scratch;

use std::path::Path;
use std::process::{Command, Stdio};

use image::{ImageWriter, Index, Store};
use job_dir::{AGENT, JobDir, endless, lines, probe, signal, to, until, url};
use model::agent::MAX_MESSAGE;
use model::image::FORMAT_VERSION;
use model::{
    AgentResult, Connection, Database, EventBody, ExitClass, FailureCode, ImageId, ImageKind, ImageType,
    Location, Manifest, Outcome, Source, Work,
};
use rustix::process::Signal;

/// Writes a small image and returns its location.
fn image_in(dir: &Path) -> Location {
    let image = ImageId::new();
    let location = Location { store: url(dir), prefix: format!("images/{image}/1") };
    let database = Database {
        ordinal: 0,
        name: "app".into(),
        owner: "postgres".into(),
        encoding: "UTF8".into(),
        locale_provider: "libc".into(),
        collate: "C".into(),
        ctype: "C".into(),
        locale: None,
        icu_rules: None,
        collation_version: None,
        bytes: 1,
        extensions: Vec::new(),
        tables: Vec::new(),
        sequences: 0,
        large_objects: 0,
        tablespaces: Vec::new(),
    };
    let source = Source {
        version: "15.20".into(),
        major: 15,
        image_type: ImageType::Stock,
        preload: Vec::new(),
        bytes: 1,
        bootstrap: None,
        left_out: Vec::new(),
    };
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        image,
        kind: ImageKind::Logical,
        created_at: chrono::Utc::now(),
        source,
        databases: vec![database],
        objects: Vec::new(),
        tools: std::collections::BTreeMap::new(),
    };
    let write = async {
        let writer = ImageWriter::new(
            Store::open(&location.store, &image::StoreOptions::default())?,
            location.prefix.as_str(),
            image,
        );
        writer.write("0/schema.dump", "pg_dump-custom", None, &vec![9; 3_000_000]).await?;
        writer.write(&Index::key(0), "jsonl", Some("zstd"), &Index::default().pack()?).await?;
        writer.commit(manifest).await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(write).expect("an image");
    location
}

#[test]
fn stopped_job_ends_as_cancelled_with_result_and_log() {
    let job = JobDir::new(endless(), "canary-1");
    let mut agent = job.start();
    until("the first event", || !job.events().is_empty());
    // The terminal that it was started from is closed.
    signal(&agent, Signal::HUP);
    signal(&agent, Signal::TERM);
    assert_eq!(agent.wait().expect("ended").code(), Some(143));
    let result = job.result();
    assert_eq!(job.failure().code, FailureCode::Cancelled);
    let events = job.events();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=result.events + 1).collect::<Vec<u64>>());
    assert_eq!(events.last().map(|event| event.body.clone()), Some(EventBody::Result(result)));
    assert_eq!(job.segments(), events);
}

#[test]
fn job_is_executed_by_one_process_once() {
    let job = JobDir::new(endless(), "canary-2");
    let mut first = job.start();
    until("the first event", || !job.events().is_empty());

    // The pid file identifies the process by its number and start time.
    let pid = std::fs::read_to_string(job.path("pid")).expect("written");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", first.id())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a stat line").1.split(' ').collect();
    assert_eq!(pid, format!("{} {}\n", first.id(), fields[19]));
    // It has a session of its own, so that the process that started it may end.
    assert_eq!(fields[3], first.id().to_string());

    let before = job.events().len();
    assert_eq!(job.run(), 0);
    assert!(job.events().len() <= before + 1 && !job.path("result.json").exists());
    signal(&first, Signal::KILL);
    first.wait().expect("ended");
    let before = job.events();
    assert_eq!(job.run(), 0);
    assert_eq!(job.events(), before);
    assert!(!job.path("result.json").exists());
}

#[test]
fn closed_standard_output_does_not_stop_the_job() {
    let store = tempfile::tempdir().expect("a directory");
    let job = JobDir::new(Work::Verify { from: image_in(store.path()), manifest_sha256: None }, "canary-3");
    let mut agent = job.command().stdout(Stdio::piped()).spawn().expect("started");
    drop(agent.stdout.take());
    assert_eq!(agent.wait().expect("ended").code(), Some(0));
    let result = job.result();
    assert!(matches!(result.outcome, Some(Outcome::Verify { objects: 3, .. })), "{result:?}");
    let numbers: Vec<u64> = job.segments().iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=result.events + 1).collect::<Vec<u64>>());
}

#[test]
fn secret_in_a_message_of_the_server_is_redacted_everywhere() {
    let server = scratch::Server::new();
    // The server's message contains the name of the database, which is the secret here.
    let target = Connection { database: scratch::PASSWORD.into(), ..server.connection() };
    let job = JobDir::new(probe(target, 0), scratch::PASSWORD);
    assert_eq!(job.run(), ExitClass::Configuration.code());
    let failure = job.failure();
    assert_eq!(failure.code, FailureCode::DatabaseMissing);
    assert!(failure.detail.contains("[secret]"), "{failure}");
    for secret in [scratch::PASSWORD, r"p:a\\s", "p:a\\s"] {
        assert!(!job.everything().contains(secret), "{}", job.everything());
    }
}

#[test]
fn long_error_is_shortened_in_log_and_result() {
    let job = JobDir::new(probe(to(&"x.".repeat(20_000), 5432), 0), "canary-4");
    assert_eq!(job.run(), ExitClass::Unreachable.code());
    let failure = job.failure();
    assert_eq!(failure.code, FailureCode::HostNotResolved);
    assert!(failure.subject.is_some_and(|host| host.ends_with('…') && host.len() > 1000));
    let longest = job.events().into_iter().filter_map(|event| match &event.body {
        EventBody::Log { message, .. } => Some(message.len()),
        _ => None,
    });
    assert_eq!(longest.max().map(|longest| (MAX_MESSAGE - 8..=MAX_MESSAGE).contains(&longest)), Some(true));
}

#[test]
fn invalid_task_has_its_own_code() {
    for text in ["{", "null", r#"{"run":"x"}"#, "\0"] {
        let job = JobDir::new(endless(), "canary-5");
        std::fs::write(job.path("task.json"), text).expect("written");
        assert_eq!(job.run(), ExitClass::Configuration.code(), "{text}");
        assert_eq!(job.failure().code, FailureCode::TaskInvalid, "{text}");
    }
    let output = Command::new(AGENT).arg("run").env_clear().output().expect("started");
    assert_eq!(output.status.code(), Some(10));
}

#[test]
fn store_that_rejects_the_log_does_not_stop_the_job() {
    let store = tempfile::tempdir().expect("a directory");
    let job = JobDir::new(Work::Verify { from: image_in(store.path()), manifest_sha256: None }, "canary-6");
    std::fs::remove_dir(job.path("store")).expect("removed");
    std::fs::write(job.path("store"), "no directory").expect("written");
    assert_eq!(job.run(), 0);
    assert!(!std::fs::read_to_string(job.path("stderr.log")).expect("exists").is_empty());
}

#[test]
fn image_is_inspected_and_verified_from_the_command_line() {
    let store = tempfile::tempdir().expect("a directory");
    let at = image_in(store.path());
    let image_dir = store.path().join(&at.prefix);
    let run =
        |args: &[&str]| Command::new(AGENT).args(args).arg(&image_dir).env_clear().output().expect("started");
    let text = |output: &std::process::Output| {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
    };

    let shown = run(&["inspect"]);
    assert!(shown.status.success() && text(&shown).contains("database   \"app\""), "{}", text(&shown));
    let manifest: Manifest = serde_json::from_slice(&run(&["inspect", "--json"]).stdout).expect("JSON");
    assert_eq!(manifest.databases[0].name, "app");
    let verified = run(&["verify"]);
    assert!(verified.status.success() && text(&verified).contains("3 objects"), "{}", text(&verified));
    let events = run(&["verify", "--json"]).stdout;
    let events = lines(&String::from_utf8(events).expect("text"));
    assert!(matches!(
        events.last().map(|e| &e.body),
        Some(EventBody::Result(AgentResult { failure: None, .. }))
    ));

    std::fs::write(image_dir.join("0/schema.dump"), vec![8; 3_000_000]).expect("written");
    let damaged = run(&["verify"]);
    assert_eq!(damaged.status.code(), Some(13));
    let explanation = FailureCode::ObjectDamaged.explanation();
    for part in ["0/schema.dump", explanation.cause, explanation.fix] {
        assert!(text(&damaged).contains(part), "{}", text(&damaged));
    }
    std::fs::remove_file(image_dir.join("manifest.json")).expect("removed");
    for command in ["inspect", "verify"] {
        let missing = run(&[command]);
        assert_eq!(missing.status.code(), Some(13), "{command}");
        let explanation = FailureCode::ManifestMissing.explanation();
        assert!(text(&missing).contains(explanation.cause), "{}", text(&missing));
    }
    let nowhere = store.path().join("no/such/place");
    let missing =
        Command::new(AGENT).arg("verify").arg(nowhere.join("x")).env_clear().output().expect("started");
    assert_eq!(missing.status.code(), Some(10), "{}", text(&missing));
    assert!(!nowhere.exists(), "a read created the directory");
    let refused = Command::new(AGENT)
        .args(["restore", "--data-dir", "/tmp/x"])
        .arg(&image_dir)
        .env_clear()
        .output()
        .expect("started");
    assert!(!refused.status.success());
}

#[test]
fn log_is_in_the_store_before_the_job_ends() {
    let job = JobDir::new(endless(), "canary-7");
    let mut agent = job.start();
    until("the first segment", || !job.segments().is_empty());
    signal(&agent, Signal::KILL);
    agent.wait().expect("ended");
    let (stored, shown) = (job.segments(), job.events());
    assert_eq!(stored[..], shown[..stored.len()]);
}
