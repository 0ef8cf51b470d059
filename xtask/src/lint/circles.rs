//! Import circles: no two files of a crate use each other, directly or through other files.
//!
//! A file uses another one if it refers to an item that the other one defines. `mod child;` alone and `pub use child::Item` alone
//! are no use; a name that is exported again counts for the file that defines it. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::modules::{self, Module, Modules, Names};
use crate::command::root;

/// Circles that stay: the crate's root file, files of which the circle may consist, and the reason.
const ALLOWED: [(&str, &[&str], &str); 0] = [];

/// The uses of each file by each other file: the line and the path as written.
type Edges = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<(usize, String)>>>;

/// Checks every crate of the workspace.
///
/// # Errors
/// There is a circle. All of them are printed.
pub(super) fn check() -> anyhow::Result<()> {
    let mut count = 0;
    for crate_root in crate_roots()? {
        let read = |path: &Path| std::fs::read_to_string(root().join(path)).ok();
        let edges = edges(&modules::of_crate(&crate_root, &read)?);
        for circle in circles(&edges).iter().filter(|circle| !is_allowed(&crate_root, circle)) {
            count += 1;
            println!("{}", describe(circle, &edges));
        }
    }
    if count > 0 {
        bail!("{count} import circles. Move what both files need into a third file below them.");
    }
    Ok(())
}

/// The root files of all crates, relative to the repository.
fn crate_roots() -> anyhow::Result<Vec<PathBuf>> {
    let mut dirs: Vec<PathBuf> = ["app", "server", "xtask"].map(PathBuf::from).to_vec();
    for entry in std::fs::read_dir(root().join("crates"))? {
        dirs.push(Path::new("crates").join(entry?.file_name()));
    }
    dirs.sort();
    let roots = dirs.iter().flat_map(|dir| ["src/lib.rs", "src/main.rs"].map(|file| dir.join(file)));
    Ok(roots.filter(|file| root().join(file).is_file()).collect())
}

fn is_allowed(crate_root: &Path, circle: &BTreeSet<PathBuf>) -> bool {
    ALLOWED.iter().any(|(root, files, _)| {
        crate_root == Path::new(root)
            && circle.iter().all(|file| files.iter().any(|allowed| file == Path::new(allowed)))
    })
}

/// Which file uses which.
fn edges(modules: &Modules) -> Edges {
    let mut edges = Edges::new();
    for (names, module) in modules {
        let mut add = |target: &Names, line: usize, path: &Names| {
            let target = &modules[target].file;
            if *target != module.file {
                let uses = edges.entry(module.file.clone()).or_default();
                uses.entry(target.clone()).or_default().insert((line, path.join("::")));
            }
        };
        for import in module.imports.iter().filter(|import| !import.is_export) {
            match resolve(modules, names, &import.path, 0) {
                // A module that is imported is used by what the code takes from it.
                Some(Target::Module(target)) if import.name == "*" => add(&target, import.line, &import.path),
                Some(Target::ItemOf(target)) => add(&target, import.line, &import.path),
                _ => {}
            }
        }
        for reference in &module.references {
            let is_imported = |name: &String| module.imports.iter().any(|import| import.name == *name);
            let may_lead_out = reference.path.len() > 1 || reference.path.iter().any(is_imported);
            if may_lead_out && let Some(Target::ItemOf(target)) = resolve(modules, names, &reference.path, 0)
            {
                add(&target, reference.line, &reference.path);
            }
        }
    }
    edges
}

/// What a path leads to.
enum Target {
    Module(Names),
    /// Something that this module defines.
    ItemOf(Names),
}

/// Names may be exported from one another in a circle; real chains are short.
const MAX_EXPORTS: usize = 16;

/// Follows a path from a module to the module that defines its item. None if it leads out of the crate.
fn resolve(modules: &Modules, from: &Names, path: &[String], depth: usize) -> Option<Target> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => descend(modules, Names::new(), rest, depth),
        "self" => descend(modules, from.clone(), rest, depth),
        "super" => {
            let supers = path.iter().take_while(|name| *name == "super").count();
            let ancestor = &from[..from.len().checked_sub(supers)?];
            descend(modules, ancestor.to_vec(), &path[supers..], depth)
        }
        _ if is_known(modules, from, first) => descend(modules, from.clone(), path, depth),
        _ => None,
    }
}

/// Whether a module defines, declares or imports a name. No other name starts a path within the crate.
fn is_known(modules: &Modules, names: &Names, name: &str) -> bool {
    let is_in = |module: &Module| {
        module.items.contains(name) || module.imports.iter().any(|import| import.name == name)
    };
    modules.get(names).is_some_and(is_in) || modules.contains_key(&child(names, name))
}

fn child(names: &Names, name: &str) -> Names {
    names.iter().map(String::as_str).chain([name]).map(str::to_owned).collect()
}

/// Descends from a module into its children, then into what it imports.
fn descend(modules: &Modules, mut names: Names, mut path: &[String], depth: usize) -> Option<Target> {
    while let [first, rest @ ..] = path
        && let child = child(&names, first)
        && modules.contains_key(&child)
    {
        (names, path) = (child, rest);
    }
    let module = modules.get(&names)?;
    let [name, rest @ ..] = path else { return Some(Target::Module(names)) };
    if depth < MAX_EXPORTS && !module.items.contains(name) {
        if let Some(import) = module.imports.iter().find(|import| import.name == *name) {
            let path: Names = import.path.iter().chain(rest).cloned().collect();
            return resolve(modules, &names, &path, depth + 1);
        }
        for glob in module.imports.iter().filter(|import| import.name == "*" && import.is_export) {
            if let Some(Target::Module(target)) = resolve(modules, &names, &glob.path, depth + 1)
                && is_known(modules, &target, name)
            {
                return descend(modules, target, path, depth + 1);
            }
        }
    }
    Some(Target::ItemOf(names))
}

/// The sets of files that reach one another.
fn circles(edges: &Edges) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        edges.keys().map(|file| (file, reached(edges, file))).collect();
    let mut circles: Vec<BTreeSet<PathBuf>> = Vec::new();
    for (file, others) in &reached {
        if others.contains(file) && !circles.iter().any(|circle| circle.contains(*file)) {
            let returns = |other: &&&PathBuf| reached.get(**other).is_some_and(|back| back.contains(file));
            circles.push(others.iter().filter(returns).map(|other| (*other).clone()).collect());
        }
    }
    circles
}

/// All files to which a file leads.
fn reached<'a>(edges: &'a Edges, from: &PathBuf) -> BTreeSet<&'a PathBuf> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&PathBuf> = edges.get(from).into_iter().flat_map(BTreeMap::keys).collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(edges.get(file).into_iter().flat_map(BTreeMap::keys));
        }
    }
    reached
}

/// A circle and every use within it.
fn describe(circle: &BTreeSet<PathBuf>, edges: &Edges) -> String {
    let mut lines = vec![format!("Import circle of {} files:", circle.len())];
    for file in circle {
        let targets = edges.get(file).into_iter().flatten().filter(|(target, _)| circle.contains(*target));
        for (target, uses) in targets {
            let numbers: BTreeSet<usize> = uses.iter().map(|(line, _)| *line).collect();
            let paths: BTreeSet<&str> = uses.iter().map(|(_, path)| path.as_str()).collect();
            let (numbers, paths) = (join(numbers.iter()), join(paths.iter()));
            lines.push(format!("  {} -> {}: {paths} (lines {numbers})", file.display(), target.display()));
        }
    }
    lines.join("\n")
}

fn join(parts: impl Iterator<Item = impl ToString>) -> String {
    parts.map(|part| part.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate, each as the names of its files.
    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let read = |path: &Path| {
            let text = files.iter().find(|(name, _)| path == Path::new(name));
            text.map(|(_, text)| (*text).to_owned())
        };
        let modules = modules::of_crate(Path::new("lib.rs"), &read).unwrap_or_default();
        assert!(modules.len() > 1, "the modules were not read");
        let names = |circle: BTreeSet<PathBuf>| {
            circle.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        circles(&edges(&modules)).into_iter().map(names).collect()
    }

    #[test]
    fn files_that_import_each_other_are_a_circle() {
        let found = circles_of(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use super::c; pub struct B; fn f() { c::f(); }"),
            ("c.rs", "pub fn f() -> crate::a::A { crate::a::A }"),
        ]);
        assert_eq!(found, ["a.rs b.rs c.rs"]);
    }

    #[test]
    fn layers_are_no_circle() {
        let found = circles_of(&[
            ("lib.rs", "mod a; mod b; fn f() { a::f(); b::g(); }"),
            ("a.rs", "use crate::b; pub fn f() { b::g(); }"),
            ("b.rs", "pub fn g() {}"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_child_that_uses_its_parent_is_a_circle_if_the_parent_uses_the_child() {
        let child = ("a/mod.rs", "use super::X; pub fn f(_: X) {}");
        assert_eq!(
            circles_of(&[("lib.rs", "mod a; pub struct X; fn g() { a::f(X); }"), child]),
            ["a/mod.rs lib.rs"]
        );
        assert_eq!(
            circles_of(&[("lib.rs", "mod a; pub use a::f; pub struct X;"), child]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_exported_name_counts_for_the_file_that_defines_it() {
        let found = circles_of(&[
            ("lib.rs", "mod error; mod a; pub use error::*; pub use a::A;"),
            ("error.rs", "pub struct Error;"),
            ("a.rs", "use crate::Error; pub struct A; fn f() -> Error { Error }"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn tests_do_not_count() {
        let found = circles_of(&[
            ("lib.rs", "mod a; fn f() { a::g(); }"),
            ("a.rs", "pub fn g() {} #[cfg(test)] mod tests { use crate::f; #[test] fn t() { f(); } }"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }
}
