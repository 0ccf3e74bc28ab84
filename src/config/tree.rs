//! YAML text -> a tree of nodes that know their line and column, and everything that is wrong on the way.
//!
//! The tree is the only reader of YAML syntax: the typed reading starts from it, so no second parser can
//! understand the same text differently, and a scalar's text is the very text that the file holds. Stricter
//! than YAML on purpose: duplicate keys, merge keys, tags, a second document and a byte-order mark are
//! problems, and what references expand to is bounded. What the keys mean is not known here.

use crate::config::problem::Place;
use crate::config::problem::Problem;
use crate::config::problem::quoted;
use crate::config::route::Route;
use crate::config::route::Segment;
use crate::config::syntax;
use saphyr_parser::Event;
use saphyr_parser::Marker;
use saphyr_parser::Parser;
use saphyr_parser::ScalarStyle;
use saphyr_parser::Span;
use std::collections::HashMap;

/// Largest file that is read, in bytes. A configuration of a thousand models is a tenth of it.
pub const TEXT_LIMIT: usize = 1024 * 1024;
/// Deepest nesting. The schema needs 8.
const DEPTH_LIMIT: usize = 32;
/// Most nodes after references are expanded.
pub const NODE_LIMIT: usize = 50_000;

/// A value of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins. For an expanded reference: where the referenced value stands.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A single value.
    Scalar {
        /// Its text, quotes removed and escapes resolved.
        text: String,
        /// Whether it was written without quotes, so that `5` is a number and `~` is nothing.
        plain: bool,
    },
    /// Keys and values, in the order of the file; no key twice.
    Mapping(Vec<Entry>),
    /// Items.
    List(Vec<Node>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Tells whether nothing was written: an empty value, `~` or `null` without quotes.
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, plain } => *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            Kind::Mapping(_) | Kind::List(_) => false,
        }
    }

    /// Marks everything in it as standing in an included file.
    fn put_in_file(&mut self, file: usize) {
        self.place.file = file;
        match &mut self.kind {
            Kind::Scalar { .. } => {}
            Kind::Mapping(entries) => {
                for entry in entries {
                    entry.place.file = file;
                    entry.value.put_in_file(file);
                }
            }
            Kind::List(items) => items.iter_mut().for_each(|item| item.put_in_file(file)),
        }
    }

    /// Counts the values in it, itself included.
    pub fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::Mapping(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
            Kind::List(items) => items.iter().map(Node::size).sum(),
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::Mapping(entries) => entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
            Kind::List(items) => items.iter().map(Node::depth).max().unwrap_or(0),
        }
    }
}

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The outermost value.
    pub root: Node,
}

impl Tree {
    /// Returns it as the tree of an included file, by its number.
    pub fn in_file(mut self, file: usize) -> Self {
        self.root.put_in_file(file);
        self
    }

    /// Finds the value at a route, and the key that it was written under.
    pub fn find(&self, route: &Route) -> Option<(Option<&Entry>, &Node)> {
        let mut found: (Option<&Entry>, &Node) = (None, &self.root);
        for segment in route.segments() {
            found = match (segment, &found.1.kind) {
                (Segment::Key(key), Kind::Mapping(entries)) => {
                    let entry = entries.iter().find(|entry| entry.key == *key)?;
                    (Some(entry), &entry.value)
                }
                (Segment::Item(index), Kind::List(items)) => (None, items.get(*index)?),
                _ => return None,
            };
        }
        Some(found)
    }

    /// Returns where a route is best shown: a single value itself, else the key that holds it.
    pub fn place(&self, route: &Route) -> Option<Place> {
        let (entry, node) = self.find(route)?;
        match (entry, &node.kind) {
            (Some(_), Kind::Scalar { .. }) if !node.is_null() => Some(node.place),
            (Some(entry), _) => Some(entry.place),
            (None, _) => Some(node.place),
        }
    }

    /// Returns where the key at the end of a route stands.
    pub fn key_place(&self, route: &Route) -> Option<Place> {
        self.find(route)?.0.map(|entry| entry.place)
    }

    /// Returns the keys at a route in the order of the file; none if it is not a mapping.
    pub fn keys(&self, route: &Route) -> Vec<&str> {
        match self.find(route).map(|(_, node)| &node.kind) {
            Some(Kind::Mapping(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            Some(Kind::Scalar { .. } | Kind::List(_)) | None => Vec::new(),
        }
    }
}

/// A tree as far as the text gave one, and what is wrong with the text.
#[derive(Debug)]
pub struct Reading {
    /// The tree; `None` if the text stops making sense.
    pub tree: Option<Tree>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Reads YAML text.
pub fn read(text: &str) -> Reading {
    if let Some(problem) = syntax::before_parsing(text) {
        return Reading { tree: None, problems: vec![problem] };
    }
    let mut builder = Builder { text, ..Builder::default() };
    let mut parser = Parser::new_from_str(text);
    let mut last = Marker::default();
    while let Some(next) = parser.next_event() {
        let step = match next {
            Ok((event, span)) => {
                last = span.end;
                builder.take(event, span)
            }
            Err(error) => Err(syntax::explain(text, last, &error)),
        };
        if let Err(fatal) = step {
            builder.problems.push(fatal);
            return Reading { tree: None, problems: builder.problems };
        }
    }
    builder.finish()
}

/// A collection whose end has not come yet.
enum Open {
    Mapping { entries: Vec<Entry>, key: Option<(String, Place)> },
    List(Vec<Node>),
}

struct Frame {
    open: Open,
    place: Place,
    anchor: usize,
    /// Entries of a mapping that are dropped, because a problem was said about their key.
    dropped: bool,
}

#[derive(Default)]
struct Builder<'t> {
    text: &'t str,
    frames: Vec<Frame>,
    /// What anchors stand for, with the number of nodes that each brings.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    /// Takes one event. An error ends the reading.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.problem(
                        Place { line: span.start.line(), column: span.start.col() + 1, width: 3, file: 0 },
                        "a second YAML document begins here, and only one is read",
                        Some("remove the line `---`, and merge what follows into the first document"),
                    ));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let place = self.place(span);
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let mut text = text.into_owned();
                if tag.is_some() {
                    let word = self.tag(span);
                    // Go on with what was meant, so that nothing more is said about it.
                    if text.is_empty() {
                        text = word;
                    }
                }
                let kind = Kind::Scalar { text, plain };
                self.place_node(Node { place, kind }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                if tag.is_some() {
                    self.tag(span);
                }
                self.open(Open::List(Vec::new()), span, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                if tag.is_some() {
                    self.tag(span);
                }
                self.open(Open::Mapping { entries: Vec::new(), key: None }, span, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.problem(
                        self.place(span),
                        "this reference stands inside the value that it refers to",
                        Some("write the value out"),
                    ));
                };
                self.nodes += size;
                if self.nodes > NODE_LIMIT || self.frames.len() + node.depth() > DEPTH_LIMIT {
                    return Err(self.problem(
                        self.place(span),
                        format!(
                            "the references (`*name`) of this file expand to more than {NODE_LIMIT} values, or too deep"
                        ),
                        Some("write the values out"),
                    ));
                }
                self.place_node(node, 0)
            }
        }
    }

    fn open(&mut self, open: Open, span: Span, anchor: usize) -> Result<(), Problem> {
        let place = self.place(span);
        if self.frames.len() >= DEPTH_LIMIT {
            return Err(self.problem(
                place,
                format!("values are nested deeper than {DEPTH_LIMIT} levels"),
                Some("is this the right file?"),
            ));
        }
        self.frames.push(Frame { open, place, anchor, dropped: false });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let kind = match frame.open {
            Open::Mapping { entries, .. } => Kind::Mapping(entries),
            Open::List(items) => Kind::List(items),
        };
        self.place_node(Node { place: frame.place, kind }, frame.anchor)
    }

    /// Puts a finished node where it belongs: root, list item, key or value.
    fn place_node(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > NODE_LIMIT {
            return Err(self.problem(
                node.place,
                format!("the file holds more than {NODE_LIMIT} values"),
                Some("is this the right file?"),
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), node.size()));
        }
        let mut route = self.route();
        let mut problem = None;
        match self.frames.last_mut() {
            None => self.root = Some(node),
            Some(Frame { open: Open::List(items), .. }) => items.push(node),
            Some(Frame { open: Open::Mapping { entries, key }, dropped, .. }) => match key.take() {
                Some((key, place)) => {
                    if !std::mem::take(dropped) {
                        entries.push(Entry { key, place, value: node });
                    }
                }
                None => {
                    let place = node.place;
                    match node.kind {
                        Kind::Scalar { text, plain } => {
                            let first = entries.iter().find(|entry| entry.key == text);
                            if plain && text == "<<" {
                                problem = Some((
                                    place,
                                    "merge keys (`<<`) are not read".to_owned(),
                                    "write the keys out; what stages have in common stands once, in the model's own `train`",
                                ));
                            } else if let Some(first) = first {
                                route = route.key(&text);
                                problem = Some((
                                    place,
                                    format!("{} is written twice: first in line {}", quoted(&text), first.place.line),
                                    "keep one of the two",
                                ));
                            }
                            *dropped = problem.is_some();
                            *key = Some((text, place));
                        }
                        Kind::Mapping(_) | Kind::List(_) => {
                            problem = Some((
                                place,
                                "a key must be a single word, not a list or a mapping".to_owned(),
                                "text that contains `{`, `[` or `? ` is quoted: `\"{…}\"`",
                            ));
                            *dropped = true;
                            *key = Some((String::new(), place));
                        }
                    }
                }
            },
        }
        if let Some((place, message, hint)) = problem {
            self.problems.push(Problem { place, message, hint: Some(hint.to_owned()), route });
        }
        Ok(())
    }

    fn finish(mut self) -> Reading {
        let empty = self.root.as_ref().is_none_or(|root| root.is_null());
        if empty && self.problems.is_empty() {
            self.problems.push(syntax::empty());
        }
        Reading { tree: self.root.filter(|_| !empty).map(|root| Tree { root }), problems: self.problems }
    }

    /// Says that a value carries a tag, and returns what stands in its place.
    fn tag(&mut self, span: Span) -> String {
        let place = self.place(span);
        let (problem, word) = syntax::tag(self.text, place, self.route());
        self.problems.push(problem);
        word
    }

    fn problem(&self, place: Place, message: impl Into<String>, hint: Option<&str>) -> Problem {
        Problem { place, message: message.into(), hint: hint.map(str::to_owned), route: self.route() }
    }

    /// Returns the route of the node that comes next.
    fn route(&self) -> Route {
        let mut route = Route::root();
        for frame in &self.frames {
            route = match &frame.open {
                Open::Mapping { key: Some((key, _)), .. } => route.key(key),
                Open::Mapping { key: None, .. } => route,
                Open::List(items) => route.item(items.len()),
            };
        }
        route
    }

    fn place(&self, span: Span) -> Place {
        let one_line = span.end.line() == span.start.line();
        let width = if one_line { span.end.col().saturating_sub(span.start.col()).max(1) } else { 1 };
        Place { line: span.start.line().max(1), column: span.start.col() + 1, width, file: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        let reading = read(text);
        assert_eq!(reading.problems, Vec::new(), "{text}");
        reading.tree.expect("a tree")
    }

    fn said(text: &str) -> Vec<String> {
        read(text).problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn nodes_know_where_they_stand() {
        let tree = tree("a:\n  b: [x, 'y z']\nc: {d: e}\n");
        let at = |route: Route| tree.place(&route).map(|place| (place.line, place.column, place.width));
        assert_eq!(at(Route::of(&["a"])), Some((1, 1, 1)));
        assert_eq!(at(Route::of(&["a", "b"]).item(1)), Some((2, 10, 5)));
        assert_eq!(at(Route::of(&["c", "d"])), Some((3, 8, 1)));
        assert_eq!(at(Route::of(&["c", "x"])), None);
        assert_eq!(tree.keys(&Route::root()), ["a", "c"]);
    }

    #[test]
    fn columns_count_characters() {
        let tree = tree("{ é: 1, 日本: x }\n");
        assert_eq!(tree.place(&Route::of(&["日本"])).map(|place| place.column), Some(13));
    }

    #[test]
    fn only_what_is_not_written_is_nothing() {
        let tree = tree("[~, null, '~', \"null\", '', none]");
        let Kind::List(items) = &tree.root.kind else { panic!("a list") };
        let nothing: Vec<bool> = items.iter().map(Node::is_null).collect();
        assert_eq!(nothing, [true, true, false, false, false, false]);
    }

    #[test]
    fn duplicate_keys_are_found_at_any_depth_and_in_any_quotes() {
        let reading = read("a: {b: [{c: 1, 'c': 2}]}\n\"a\": 3\n");
        let routes: Vec<String> = reading.problems.iter().map(|problem| problem.route.to_string()).collect();
        assert_eq!(routes, ["a.b[0].c", "a"]);
    }

    #[test]
    fn references_are_expanded_within_bounds() {
        let tree = tree("a: &x [1, 2]\nb: *x\n");
        let value = |key: &str| tree.find(&Route::of(&[key])).map(|(_, node)| node.clone());
        assert_eq!(value("a"), value("b"));
        assert_eq!(said("a: &x [*x]"), ["this reference stands inside the value that it refers to"]);
    }

    #[test]
    fn huge_and_deep_texts_end_soon() {
        for unit in [
            "[",
            "{a: ",
            "- ",
            "a: &a [*a]\n",
            "? ",
            "'",
            "\"",
            "&a ",
            "!",
            "*",
            "|\n",
            "[a, ",
            "a:\n",
            "\\",
            "{[",
            ": ",
            "#\n",
            "---\n",
        ] {
            // Some are legal; what counts is that each comes back at all, and soon.
            let _ = read(&unit.repeat(100_000 / unit.len()));
        }
        let flat = "a,".repeat(100_000);
        assert!(!said(&format!("[{flat}]")).is_empty());
        assert!(!said(&"x".repeat(TEXT_LIMIT + 1)).is_empty());
    }
}
