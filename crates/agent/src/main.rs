//! The program `toygres-agent`.

fn main() -> std::process::ExitCode {
    agent::main()
}
