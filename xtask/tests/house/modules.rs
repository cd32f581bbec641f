//! The modules of a crate, and which names each takes from another.
//!
//! Not a compiler: names are looked up as Rust does, but names of macros and of traits' methods are
//! not, and neither are the attributes that rename a module's file.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// File -> file -> the names that the first takes from the second.
pub type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Aliases of aliases that are followed.
const MOST_STEPS: usize = 16;

/// A module's place in its crate, from the root on.
type Place = Vec<String>;

#[derive(Debug, Default)]
struct Module {
    file: String,
    /// What it defines itself.
    defined: BTreeSet<String>,
    /// What it imports or re-exports: the name here, and the path that is behind it.
    imported: BTreeMap<String, Vec<String>>,
    /// The paths of which it imports everything.
    globs: Vec<Vec<String>>,
    /// Every path in its code and in its private imports.
    mentioned: BTreeSet<Vec<String>>,
}

/// The crate behind one root file.
#[derive(Debug, Default)]
struct Crate(BTreeMap<Place, Module>);

/// What a path leads to.
enum Target {
    Module(Place),
    /// Something that this module defines.
    Item(Place),
}

/// Who takes what from whom, in the crate with the root file `root`; `read` gives a file's text, if there
/// is one.
///
/// # Errors
/// Where a file is not there or is not Rust.
pub fn imports(root: &str, read: &dyn Fn(&str) -> Option<String>) -> Result<Imports, String> {
    let mut whole = Crate::default();
    whole.load(Vec::new(), root, read)?;
    let mut imports = Imports::new();
    for (place, module) in &whole.0 {
        for path in &module.mentioned {
            let Some(Target::Item(owner)) = whole.find(place, path, MOST_STEPS) else {
                continue;
            };
            let Some(owner) = whole
                .0
                .get(&owner)
                .filter(|owner| owner.file != module.file)
            else {
                continue;
            };
            let names = imports.entry(module.file.clone()).or_default();
            let names = names.entry(owner.file.clone()).or_default();
            names.extend(path.last().cloned());
        }
    }
    Ok(imports)
}

impl Crate {
    fn load(
        &mut self,
        place: Place,
        file: &str,
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let text = read(file).ok_or_else(|| format!("{file} is not there"))?;
        let parsed = syn::parse_file(&text).map_err(|error| format!("{file}: {error}"))?;
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let below = match name {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            _ => file.trim_end_matches(".rs").to_owned(),
        };
        self.add(place, file, &below, &parsed.items, read)
    }

    fn add(
        &mut self,
        place: Place,
        file: &str,
        below: &str,
        items: &[Item],
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let mut reader = Reader::default();
        reader.module.file = file.to_owned();
        for item in items {
            let Item::Mod(child) = item else {
                reader.visit_item(item);
                continue;
            };
            if is_for_tests(&child.attrs) {
                continue;
            }
            let name = child.ident.to_string();
            let mut inner = place.clone();
            inner.push(name.clone());
            let path = format!("{below}/{name}");
            let path = path.trim_start_matches('/');
            match &child.content {
                Some((_, items)) => self.add(inner, file, path, items, read)?,
                None => {
                    let files = [format!("{path}.rs"), format!("{path}/mod.rs")];
                    let there = files.iter().find(|file| read(file).is_some());
                    let there = there.ok_or_else(|| format!("{file}: no file of mod {name}"))?;
                    self.load(inner, there, read)?;
                }
            }
        }
        self.0.insert(place, reader.module);
        Ok(())
    }

    /// What `path` is, written in the module `from`.
    fn find(&self, from: &Place, path: &[String], steps: usize) -> Option<Target> {
        let mut at = Target::Module(from.clone());
        let mut names = path.iter().peekable();
        while let Some(name) =
            names.next_if(|name| ["crate", "self", "super"].contains(&name.as_str()))
        {
            let Target::Module(place) = &mut at else {
                return None;
            };
            match name.as_str() {
                "crate" => place.clear(),
                "super" => drop(place.pop()?),
                _ => {}
            }
        }
        for name in names {
            match at {
                Target::Module(place) => at = self.name(&place, name, steps)?,
                // A variant or something else that belongs to it.
                Target::Item(_) => break,
            }
        }
        Some(at)
    }

    /// What a name is in a module.
    fn name(&self, place: &Place, name: &str, steps: usize) -> Option<Target> {
        let steps = steps.checked_sub(1)?;
        let module = self.0.get(place)?;
        let mut child = place.clone();
        child.push(name.to_owned());
        if self.0.contains_key(&child) {
            return Some(Target::Module(child));
        }
        if module.defined.contains(name) {
            return Some(Target::Item(place.clone()));
        }
        if let Some(path) = module.imported.get(name) {
            return self.find(place, path, steps);
        }
        module.globs.iter().find_map(|path| {
            let Target::Module(other) = self.find(place, path, steps)? else {
                return None;
            };
            (other != *place).then(|| self.name(&other, name, steps))?
        })
    }
}

/// Reads what stands in one module.
#[derive(Debug, Default)]
struct Reader {
    module: Module,
    /// How many items deep: what is defined in a function is not the module's.
    depth: usize,
}

impl Reader {
    fn import(&mut self, tree: &UseTree, mut path: Vec<String>, is_private: bool) {
        let (name, path) = match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                return self.import(&inner.tree, path, is_private);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, path.clone(), is_private);
                }
                return;
            }
            UseTree::Glob(_) => return self.module.globs.push(path),
            UseTree::Name(name) if name.ident == "self" => {
                (path.last().cloned().unwrap_or_default(), path)
            }
            UseTree::Name(name) => {
                path.push(name.ident.to_string());
                (name.ident.to_string(), path)
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                (rename.rename.to_string(), path)
            }
        };
        if is_private {
            self.module.mentioned.insert(path.clone());
        }
        self.module.imported.insert(name, path);
    }

    /// The paths among the words that a macro is given.
    fn words(&mut self, stream: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for word in stream {
            match word {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.mention(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.mention(std::mem::take(&mut path));
                    self.words(group.stream());
                    colons = 0;
                }
                _ => {
                    self.mention(std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.mention(path);
    }

    fn mention(&mut self, path: Vec<String>) {
        if !path.is_empty() {
            self.module.mentioned.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let (name, attributes) = head(item);
        if is_for_tests(attributes) {
            return;
        }
        if let (Some(name), 0) = (name, self.depth) {
            self.module.defined.insert(name);
        }
        self.depth += 1;
        visit::visit_item(self, item);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_private = matches!(item.vis, Visibility::Inherited);
        self.import(&item.tree, Vec::new(), is_private);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        if path.leading_colon.is_none() {
            self.mention(names.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.words(call.tokens.clone());
    }
}

/// The name that an item gives to something, and its attributes.
fn head(item: &Item) -> (Option<String>, &[Attribute]) {
    let (name, attributes) = match item {
        Item::Const(item) => (&item.ident, &item.attrs),
        Item::Enum(item) => (&item.ident, &item.attrs),
        Item::Fn(item) => (&item.sig.ident, &item.attrs),
        Item::Static(item) => (&item.ident, &item.attrs),
        Item::Struct(item) => (&item.ident, &item.attrs),
        Item::Trait(item) => (&item.ident, &item.attrs),
        Item::Type(item) => (&item.ident, &item.attrs),
        Item::Union(item) => (&item.ident, &item.attrs),
        Item::Impl(item) => return (None, &item.attrs),
        Item::Use(item) => return (None, &item.attrs),
        _ => return (None, &[]),
    };
    (Some(name.to_string()), attributes)
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| {
                    let words = list.tokens.to_string();
                    words.contains("test") && !words.contains("not")
                })
    })
}
