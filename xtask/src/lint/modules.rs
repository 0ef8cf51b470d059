//! The modules of one crate as its files declare them: what each imports, defines and refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use proc_macro2::{Delimiter, TokenTree};

use super::tokens::{self, is_punct, line};

/// The names from the crate's root to a module or an item; the root itself is empty.
pub(super) type Names = Vec<String>;

/// A `use` of one name.
pub(super) struct Import {
    /// What the file calls it; `*` for a glob.
    pub(super) name: String,
    /// The path as written.
    pub(super) path: Names,
    /// `pub use`, of any visibility: the name is handed on.
    pub(super) is_export: bool,
    pub(super) line: usize,
}

/// A path in code, as written: `crate::a::B`, `child::f`, `Imported`.
pub(super) struct Reference {
    pub(super) path: Names,
    pub(super) line: usize,
}

/// A module: a file, or a block `mod name { … }` of one.
pub(super) struct Module {
    pub(super) file: PathBuf,
    pub(super) imports: Vec<Import>,
    pub(super) references: Vec<Reference>,
    /// The names that are defined in it.
    pub(super) items: BTreeSet<String>,
}

/// The modules of a crate by their names.
pub(super) type Modules = BTreeMap<Names, Module>;

/// Reads all modules below the crate's root file.
///
/// # Errors
/// A declared file is missing or is not Rust.
pub(super) fn of_crate(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> anyhow::Result<Modules> {
    let mut modules = Modules::new();
    let dir = root.parent().unwrap_or(Path::new("")).to_owned();
    Reader { read, modules: &mut modules }.file(Vec::new(), root, &dir)?;
    Ok(modules)
}

struct Reader<'a> {
    read: &'a dyn Fn(&Path) -> Option<String>,
    modules: &'a mut Modules,
}

impl Reader<'_> {
    /// Reads a file, whose children are in `dir`.
    fn file(&mut self, names: Names, file: &Path, dir: &Path) -> anyhow::Result<()> {
        let text = (self.read)(file).with_context(|| format!("there is no {}", file.display()))?;
        let tokens = tokens::without_tests(&text).with_context(|| file.display().to_string())?;
        self.module(names, file, dir, &tokens)
    }

    fn module(&mut self, names: Names, file: &Path, dir: &Path, tokens: &[TokenTree]) -> anyhow::Result<()> {
        let mut module = Module {
            file: file.to_owned(),
            imports: Vec::new(),
            references: Vec::new(),
            items: BTreeSet::new(),
        };
        let mut children = Vec::new();
        scan(tokens, true, &mut module, &mut children);
        match self.modules.entry(names.clone()) {
            std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(module)),
            // One block for each of two conditions.
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                known.imports.append(&mut module.imports);
                known.references.append(&mut module.references);
                known.items.append(&mut module.items);
            }
        }
        for (name, block) in children {
            let names: Names = names.iter().cloned().chain([name.clone()]).collect();
            let inside = dir.join(&name);
            match block {
                Some(block) => self.module(names, file, &inside, &block)?,
                None => {
                    let candidates = [dir.join(format!("{name}.rs")), inside.join("mod.rs")];
                    let Some(child) = candidates.iter().find(|path| (self.read)(path).is_some()) else {
                        bail!("{} declares the module {name}, which has no file", file.display());
                    };
                    self.file(names, child, &inside)?;
                }
            }
        }
        Ok(())
    }
}

/// A child module: its name, and its tokens where it is a block.
type Child = (String, Option<Vec<TokenTree>>);

/// Words before the name of an item.
const ITEMS: [&str; 9] = ["const", "enum", "fn", "macro_rules", "static", "struct", "trait", "type", "union"];

/// Reads tokens in order. Only at the top of a module do items and child modules count; paths and imports do everywhere.
fn scan(tokens: &[TokenTree], is_top: bool, module: &mut Module, children: &mut Vec<Child>) {
    let mut at = 0;
    while at < tokens.len() {
        at += match &tokens[at] {
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                scan(&inner, false, module, children);
                1
            }
            token if is_punct(token, '.') => 2.min(tokens.len() - at),
            TokenTree::Ident(word) => {
                let word = word.to_string();
                if word == "use" && !tokens.get(at + 1).is_some_and(|next| is_punct(next, '<')) {
                    import(&tokens[at..], is_exported(&tokens[..at]), module)
                } else if word == "mod" && is_top {
                    child(&tokens[at..], children)
                } else {
                    if is_top && ITEMS.contains(&word.as_str()) {
                        define(&tokens[at + 1..], module);
                    }
                    reference(tokens, at, module)
                }
            }
            _ => 1,
        };
    }
}

/// Whether the tokens before an item end with `pub` or `pub(…)`.
fn is_exported(before: &[TokenTree]) -> bool {
    let before = match before {
        [rest @ .., TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => rest,
        rest => rest,
    };
    matches!(before.last(), Some(TokenTree::Ident(word)) if word == "pub")
}

fn child(tokens: &[TokenTree], children: &mut Vec<Child>) -> usize {
    match tokens {
        [_, TokenTree::Ident(name), TokenTree::Group(block), ..] => {
            children.push((name.to_string(), Some(block.stream().into_iter().collect())));
            3
        }
        [_, TokenTree::Ident(name), ..] => {
            children.push((name.to_string(), None));
            3
        }
        _ => 1,
    }
}

/// Notes the name of an item, which stands after its keyword, or after `macro_rules!` or `const fn`.
fn define(rest: &[TokenTree], module: &mut Module) {
    let name = rest.iter().take(2).find_map(|token| match token {
        TokenTree::Ident(name) if !ITEMS.iter().any(|keyword| name == keyword) => Some(name.to_string()),
        _ => None,
    });
    module.items.extend(name);
}

/// Reads a path that starts at `at`, and returns how many tokens it has.
fn reference(tokens: &[TokenTree], at: usize, module: &mut Module) -> usize {
    let is_global = at >= 2 && is_punct(&tokens[at - 1], ':') && is_punct(&tokens[at - 2], ':');
    let (path, length) = path(&tokens[at..]);
    // `name: Type` is a field or a variable.
    let is_label =
        matches!(&tokens[at + length..], [colon, next, ..] if is_punct(colon, ':') && !is_punct(next, ':'));
    if !is_global && !is_label {
        module.references.push(Reference { path, line: line(&tokens[at]) });
    }
    length
}

/// The identifiers that `::` joins from the first token on, and the number of tokens up to there.
fn path(tokens: &[TokenTree]) -> (Names, usize) {
    let mut names = Names::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        names.push(name.to_string());
        at += 1;
        match &tokens[at..] {
            [first, second, TokenTree::Ident(_), ..] if is_punct(first, ':') && is_punct(second, ':') => {
                at += 2;
            }
            _ => break,
        }
    }
    (names, at)
}

/// Reads `use …;` and returns how many tokens it has.
fn import(tokens: &[TokenTree], is_export: bool, module: &mut Module) -> usize {
    let end = tokens.iter().position(|token| is_punct(token, ';')).unwrap_or(tokens.len() - 1);
    let tree = &tokens[1..end];
    if !tree.first().is_some_and(|token| is_punct(token, ':')) {
        branch(tree, &Names::new(), is_export, &mut module.imports);
    }
    end + 1
}

/// Reads one branch of a tree of imports: `a::b`, `a as b`, `a::*`, `a::{b, self}`.
fn branch(tokens: &[TokenTree], prefix: &Names, is_export: bool, imports: &mut Vec<Import>) {
    let (names, length) = path(tokens);
    let Some(first) = tokens.first() else { return };
    let line = line(first);
    let mut path: Names = prefix.iter().cloned().chain(names).collect();
    if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
        path.pop();
    }
    let rest: Vec<&TokenTree> = tokens[length..].iter().filter(|token| !is_punct(token, ':')).collect();
    let name = match rest[..] {
        [TokenTree::Group(group)] => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            for one in inner.split(|token| is_punct(token, ',')) {
                branch(one, &path, is_export, imports);
            }
            return;
        }
        [token] if is_punct(token, '*') => "*".to_owned(),
        [_, TokenTree::Ident(alias)] => alias.to_string(),
        _ => path.last().cloned().unwrap_or_default(),
    };
    imports.push(Import { name, path, is_export, line });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Module {
        let file = |path: &Path| (path == Path::new("lib.rs")).then(|| text.to_owned());
        let mut modules = of_crate(Path::new("lib.rs"), &file).unwrap_or_default();
        modules.remove(&Names::new()).expect("the root module")
    }

    #[test]
    fn imports_are_read_with_their_aliases() {
        let module = read("use a::{b, c as d, e::{self, F}, g::*};\npub(crate) use crate::h;");
        let imports: Vec<String> = module
            .imports
            .iter()
            .map(|import| format!("{}={} {}", import.name, import.path.join("::"), import.is_export))
            .collect();
        assert_eq!(
            imports,
            [
                "b=a::b false",
                "d=a::c false",
                "e=a::e false",
                "F=a::e::F false",
                "*=a::g false",
                "h=crate::h true"
            ]
        );
        assert_eq!(module.imports.last().map(|import| import.line), Some(2));
    }

    #[test]
    fn references_are_read_in_code_and_in_macros() {
        let module =
            read("fn f(w: u8) { crate::a::b(); x.y(); view! { <p>{super::z(1)}</p> } ::serde::de::f(); }");
        let paths: Vec<String> = module.references.iter().map(|one| one.path.join("::")).collect();
        assert!(
            paths.contains(&"crate::a::b".to_owned()) && paths.contains(&"super::z".to_owned()),
            "{paths:?}"
        );
        for other in ["w", "y", "serde::de::f"] {
            assert!(!paths.iter().any(|path| path == other), "{other} is read as a reference: {paths:?}");
        }
        assert_eq!(module.items, BTreeSet::from(["f".to_owned()]));
    }

    #[test]
    fn a_declared_module_without_a_file_is_an_error() {
        let none = |path: &Path| (path == Path::new("lib.rs")).then(|| "mod missing;".to_owned());
        assert!(of_crate(Path::new("lib.rs"), &none).is_err());
    }
}
