//! The files of a job: its events, its task and its result.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<model::AgentEvent>(bytes);
    let _ = serde_json::from_slice::<model::AgentTask>(bytes);
    let _ = serde_json::from_slice::<model::agent::AgentResult>(bytes);
});
