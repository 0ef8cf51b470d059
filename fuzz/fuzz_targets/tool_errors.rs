//! What pg_restore and psql print about the content of an image.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    agent::fuzzing::tool_errors(text);
});
