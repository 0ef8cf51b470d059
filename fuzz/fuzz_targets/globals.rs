//! The roles and settings of an image, as SQL.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    agent::fuzzing::globals(text);
});
