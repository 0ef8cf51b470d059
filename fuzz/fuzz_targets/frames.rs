//! What the container with an image's content sends to the agent.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    agent::fuzzing::frames(bytes);
});
