//! The address of a store, as a person types it.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    image::fuzzing::address(text);
});
