//! Where in a file the changes are made.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, BinOp, Block, Expr, ExprBinary, ExprMatch, ExprStruct, ExprUnary, Signature};

use crate::change::{Change, Genre};

/// How the place of a site is written so that it can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The beginning of a function's body: it may return.
    Body,
    /// The end of an arm's pattern: a condition may follow.
    Pattern,
    /// The condition of an arm: another may be met before it.
    Condition,
    /// An expression: another may take its place.
    Expression,
}

/// One place, and the changes that are made there.
#[derive(Clone, Debug)]
pub struct Site {
    /// What kind of place.
    pub place: Place,
    /// The bytes that it is; none where something is only added.
    pub range: Range<usize>,
    /// The bytes that may not compile because of it.
    pub cover: Range<usize>,
    /// Whether it is in a `const fn`: what is done while compiling goes by the old text.
    pub compiled: bool,
    /// The changes, by their places in the list of all.
    pub changes: Vec<usize>,
}

/// Why a change cannot be switched on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is made while compiling: a constant, the length of an array.
    Constant,
    /// It is between the conditions of an `if let … && …`.
    Chain,
    /// Nothing stands where it should be made: it is inside of a macro.
    Nothing,
}

/// The places of a file's changes.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where they are made, outer before inner.
    pub sites: Vec<Site>,
    /// Those that have no such place.
    pub unplaced: Vec<(usize, Reason)>,
}

/// Finds the places of `wanted`, which index `changes`, in the text of their file.
///
/// # Errors
/// The file is no Rust.
pub fn find(source: &str, changes: &[Change], wanted: &[usize]) -> syn::Result<Found> {
    let mut finder = Finder { changes, ..Finder::default() };
    for &index in wanted {
        let change = &changes[index];
        match change.genre {
            Genre::Body => finder.bodies.push(index),
            genre => finder.waiting.entry((genre, change.span.start)).or_default().push(index),
        }
    }
    finder.visit_file(&syn::parse_file(source)?);
    let left = finder.waiting.into_values().flatten().chain(finder.bodies);
    finder.unplaced.extend(left.map(|index| (index, Reason::Nothing)));
    let mut sites: Vec<Site> = finder.sites.into_values().collect();
    // Outer before inner; what only adds comes before what begins there.
    sites.sort_by_key(|site| {
        let Range { start, end } = site.range;
        (start, start != end, usize::MAX - end, site.place)
    });
    Ok(Found { sites, unplaced: finder.unplaced })
}

#[derive(Default)]
struct Finder<'a> {
    changes: &'a [Change],
    waiting: BTreeMap<(Genre, usize), Vec<usize>>,
    bodies: Vec<usize>,
    /// How many constants are around.
    constants: usize,
    /// Whether the function that is around is a `const fn`.
    compiled: bool,
    /// The `match` that is around.
    around: Range<usize>,
    sites: BTreeMap<(usize, usize, Place), Site>,
    unplaced: Vec<(usize, Reason)>,
}

fn bytes(node: &impl Spanned) -> Range<usize> {
    node.span().byte_range()
}

impl Finder<'_> {
    fn take(&mut self, genre: Genre, at: usize) -> Vec<usize> {
        self.waiting.remove(&(genre, at)).unwrap_or_default()
    }

    fn refuse(&mut self, indices: Vec<usize>, reason: Reason) {
        self.unplaced.extend(indices.into_iter().map(|index| (index, reason)));
    }

    fn add(&mut self, place: Place, range: Range<usize>, cover: Range<usize>, indices: Vec<usize>) {
        if indices.is_empty() {
            return;
        }
        if self.constants > 0 {
            return self.refuse(indices, Reason::Constant);
        }
        let site = self.sites.entry((range.start, range.end, place)).or_insert(Site {
            place,
            range,
            cover,
            compiled: self.compiled,
            changes: Vec::new(),
        });
        site.changes.extend(indices);
    }

    fn constant(&mut self, visit: impl FnOnce(&mut Self)) {
        self.constants += 1;
        visit(self);
        self.constants -= 1;
    }

    fn function(
        &mut self,
        item: Range<usize>,
        head: &Signature,
        block: &Block,
        visit: impl FnOnce(&mut Self),
    ) {
        // What a constant's function does when it is called is done at run time too.
        let constants = std::mem::take(&mut self.constants);
        let compiled = std::mem::replace(&mut self.compiled, head.constness.is_some());
        visit(self);
        let inside = bytes(block);
        let changes = self.changes;
        let (mine, others) = std::mem::take(&mut self.bodies).into_iter().partition(|&index| {
            let span = &changes[index].span;
            inside.start <= span.start && span.end <= inside.end
        });
        self.bodies = others;
        let begin = block.brace_token.span.open().byte_range().end;
        self.add(Place::Body, begin..begin, item, mine);
        (self.constants, self.compiled) = (constants, compiled);
    }

    /// The operators of operands that are operators' results themselves: which belongs to which changes with them.
    fn operators(&mut self, node: &ExprBinary) -> Vec<usize> {
        let mut indices = self.take(Genre::Binary, bytes(&node.op).start);
        for operand in [&*node.left, &*node.right] {
            match operand {
                Expr::Binary(inner) => indices.extend(self.operators(inner)),
                other => self.visit_expr(other),
            }
        }
        indices
    }

    /// Conditions and `let`s: nothing but `&&` can stand between them.
    fn chain(&mut self, node: &ExprBinary) {
        let indices = self.take(Genre::Binary, bytes(&node.op).start);
        self.refuse(indices, Reason::Chain);
        for operand in [&*node.left, &*node.right] {
            match operand {
                Expr::Binary(inner) if matches!(inner.op, BinOp::And(_)) => self.chain(inner),
                other => self.visit_expr(other),
            }
        }
    }
}

fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(node) => has_let(&node.left) || has_let(&node.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr_binary(&mut self, node: &'ast ExprBinary) {
        if has_let(&node.left) || has_let(&node.right) {
            return self.chain(node);
        }
        let indices = self.operators(node);
        let range = bytes(node);
        self.add(Place::Expression, range.clone(), range, indices);
    }

    fn visit_expr_unary(&mut self, node: &'ast ExprUnary) {
        let indices = self.take(Genre::Unary, bytes(&node.op).start);
        let range = bytes(node);
        self.add(Place::Expression, range.clone(), range, indices);
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_struct(&mut self, node: &'ast ExprStruct) {
        let range = bytes(node);
        for field in &node.fields {
            let indices = self.take(Genre::Field, bytes(field).start);
            self.add(Place::Expression, range.clone(), range.clone(), indices);
        }
        visit::visit_expr_struct(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast ExprMatch) {
        self.visit_expr(&node.expr);
        for arm in &node.arms {
            // An arm may have another `match` in it.
            self.around = bytes(node);
            self.visit_arm(arm);
        }
    }

    fn visit_arm(&mut self, node: &'ast Arm) {
        let (arm, pattern) = (bytes(node), bytes(&node.pat));
        let mut gone = self.take(Genre::Arm, arm.start);
        if pattern.start != arm.start {
            gone.extend(self.take(Genre::Arm, pattern.start));
        }
        match &node.guard {
            None => {
                let cover = self.around.clone();
                self.add(Place::Pattern, pattern.end..pattern.end, cover, gone);
            }
            Some((_, guard)) => {
                let range = bytes(&**guard);
                let other = self.take(Genre::Guard, range.start);
                if has_let(guard) {
                    self.refuse(gone, Reason::Chain);
                    self.refuse(other, Reason::Chain);
                } else {
                    self.add(Place::Condition, range.clone(), arm.clone(), gone);
                    self.add(Place::Expression, range, arm, other);
                }
            }
        }
        visit::visit_arm(self, node);
    }

    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        self.function(bytes(node), &node.sig, &node.block, |finder| {
            visit::visit_item_fn(finder, node)
        });
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        self.function(bytes(node), &node.sig, &node.block, |finder| {
            visit::visit_impl_item_fn(finder, node)
        });
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        let Some(block) = &node.default else { return };
        self.function(bytes(node), &node.sig, block, |finder| {
            visit::visit_trait_item_fn(finder, node)
        });
    }

    fn visit_item_const(&mut self, node: &'ast syn::ItemConst) {
        self.constant(|finder| visit::visit_item_const(finder, node));
    }

    fn visit_item_static(&mut self, node: &'ast syn::ItemStatic) {
        self.constant(|finder| visit::visit_item_static(finder, node));
    }

    fn visit_impl_item_const(&mut self, node: &'ast syn::ImplItemConst) {
        self.constant(|finder| visit::visit_impl_item_const(finder, node));
    }

    fn visit_trait_item_const(&mut self, node: &'ast syn::TraitItemConst) {
        self.constant(|finder| visit::visit_trait_item_const(finder, node));
    }

    fn visit_variant(&mut self, node: &'ast syn::Variant) {
        self.constant(|finder| visit::visit_variant(finder, node));
    }

    fn visit_type(&mut self, node: &'ast syn::Type) {
        self.constant(|finder| visit::visit_type(finder, node));
    }

    fn visit_generic_argument(&mut self, node: &'ast syn::GenericArgument) {
        self.constant(|finder| visit::visit_generic_argument(finder, node));
    }

    fn visit_expr_const(&mut self, node: &'ast syn::ExprConst) {
        self.constant(|finder| visit::visit_expr_const(finder, node));
    }

    fn visit_expr_repeat(&mut self, node: &'ast syn::ExprRepeat) {
        self.visit_expr(&node.expr);
        self.constant(|finder| finder.visit_expr(&node.len));
    }
}
