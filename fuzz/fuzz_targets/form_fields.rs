//! Fields of forms: names, addresses, networks.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = model::Name::parse(text);
    let _ = image::host_and_port(text);
    let _ = serde_json::from_value::<model::NetworkPolicy>(serde_json::json!({ "allowed": [text] }));
});
