//! The wording of every failure explanation. Change the snapshot with `cargo insta review` or `INSTA_UPDATE=always`.

use std::fmt::Write as _;

use model::FailureCode;

#[test]
fn every_failure_is_explained() {
    let mut text = String::new();
    for code in FailureCode::ALL {
        let retry = if code.is_permanent() { "permanent" } else { "transient" };
        let class = model::ExitClass::from(*code);
        writeln!(text, "{code} ({retry}, exit class {class})").expect("a text");
        let explanation = code.explanation();
        writeln!(text, "  Cause: {}\n  Fix:   {}", explanation.cause, explanation.fix).expect("a text");
    }
    insta::assert_snapshot!(text);
}
