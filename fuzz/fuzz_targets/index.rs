//! The index of a database of an image.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    image::fuzzing::index(bytes);
});
