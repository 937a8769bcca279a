//! Parses a command as the shell would: its calls and assignments in the order they run.
//!
//! tree-sitter reads the text, so comments, quotes, heredocs and functions mean what they mean to a
//! shell. Unparsable parts are left out, and cause no findings.

use std::ops::{ControlFlow, Range};

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

mod guard;
mod word;

pub(crate) use guard::Guard;
pub(crate) use word::{Part, Word};

// tree-sitter's time grows with the square of some texts, so unlikely ones are not given to it.

/// The longest command to parse, in bytes.
const LONGEST: usize = 16 * 1024;
/// How deep compound commands are followed.
const DEEPEST: usize = 100;
/// How often the parser may report progress before it is stopped: about once for 60 bytes of a normal script.
const MOST_STEPS: usize = 1_500;
/// The most open brackets: the parser's time for unclosed ones grows with their square.
const MOST_BRACKETS: usize = 50;
/// The most brackets, pipes and redirections of a command, for the same reason.
const MOST_SIGNS: usize = 300;
/// The most of them in all commands together.
const MOST_SIGNS_IN_ALL: usize = 1_000;
/// The most heredocs of a command: for each, the parser searches the rest of the text.
const MOST_HEREDOCS: usize = 64;

/// One step of a command.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Its action.
    pub(crate) act: Act,
    /// Its place in the command's text.
    pub(crate) range: Range<usize>,
    /// The condition under which it runs, as far as it concerns the success of the build.
    pub(crate) guard: Guard,
    /// Whether it always runs, in the command's own shell, so that its variables last.
    pub(crate) is_certain: bool,
    /// The function whose body contains it; it runs where that is called.
    pub(crate) function: Option<String>,
}

/// The action of a step.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Runs a program.
    Call(Call),
    /// Sets a variable.
    Assign {
        /// Its name.
        name: String,
        /// Its value.
        value: Word,
    },
    /// Ends the build (`exit`) unless the build is succeeding here.
    StopUnlessSucceeding,
}

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// All words, including wrappers such as `sudo`.
    pub(crate) words: Vec<Word>,
    /// The index of the program among the words.
    pub(crate) start: usize,
    /// The file that its output is redirected to, if any.
    pub(crate) output: Option<Word>,
}

impl Call {
    /// The program without its folder.
    pub(crate) fn name(&self) -> &str {
        let text = self
            .words
            .get(self.start)
            .and_then(Word::text)
            .unwrap_or("");
        text.rsplit('/').next().unwrap_or(text)
    }

    /// Its arguments.
    pub(crate) fn arguments(&self) -> &[Word] {
        self.words.get(self.start + 1..).unwrap_or_default()
    }

    /// Its constant arguments that are not options, such as `ecr get-login` in `aws ecr get-login --region x`.
    pub(crate) fn verbs(&self) -> Vec<&str> {
        self.arguments()
            .iter()
            .filter_map(Word::text)
            .filter(|text| !text.starts_with('-'))
            .collect()
    }

    /// Whether the program is called with this subcommand, ignoring options before and between.
    pub(crate) fn is(&self, name: &str, verbs: &[&str]) -> bool {
        self.name() == name && subsequence(&self.verbs(), verbs)
    }

    /// The value of an option: the word after it, or the part after `=`.
    pub(crate) fn option(&self, names: &[&str]) -> Option<Word> {
        self.options(names).into_iter().next()
    }

    /// All values of an option.
    pub(crate) fn options(&self, names: &[&str]) -> Vec<Word> {
        let mut found = Vec::new();
        let mut words = self.arguments().iter();
        while let Some(word) = words.next() {
            if word.text().is_some_and(|text| names.contains(&text)) {
                found.extend(words.next().cloned());
            } else if let Some(value) = names.iter().find_map(|name| word.behind(name)) {
                found.push(value);
            }
        }
        found
    }

    /// Whether the arguments contain one of these options.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.arguments()
            .iter()
            .filter_map(Word::text)
            .any(|text| names.contains(&text.split('=').next().unwrap_or(text)))
    }
}

fn subsequence(words: &[&str], wanted: &[&str]) -> bool {
    let mut words = words.iter();
    wanted
        .iter()
        .all(|wanted| words.by_ref().any(|word| word == wanted))
}

/// Parses commands, up to a limit for all of them together.
pub(crate) struct Reader {
    parser: Option<Parser>,
    left: usize,
    signs_left: usize,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let mut parser = Parser::new();
        let language = tree_sitter_bash::LANGUAGE.into();
        Self {
            parser: parser.set_language(&language).is_ok().then_some(parser),
            left: MOST_STEPS,
            signs_left: MOST_SIGNS_IN_ALL,
        }
    }

    /// The steps of a command; none if it cannot be parsed.
    pub(crate) fn steps(&mut self, text: &str) -> Vec<Step> {
        let Some(tree) = self.parse(text) else {
            return Vec::new();
        };
        let mut walker = Walker {
            reader: self,
            text,
            offset: 0,
            steps: Vec::new(),
        };
        walker.visit(tree.root_node(), &Around::default());
        walker.steps
    }

    fn parse(&mut self, text: &str) -> Option<Tree> {
        let is_too_much = text.len() > LONGEST
            || text.matches("<<").count() > MOST_HEREDOCS
            || deepest_bracket(text) > MOST_BRACKETS;
        let is_sign = |byte: &u8| matches!(byte, b'(' | b')' | b'|' | b'<' | b'>');
        let signs = text.bytes().filter(is_sign).count();
        if is_too_much || self.left == 0 || signs > MOST_SIGNS.min(self.signs_left) {
            return None;
        }
        self.signs_left -= signs;
        let parser = self.parser.as_mut()?;
        let left = &mut self.left;
        let mut progress = |_: &ParseState| {
            *left = left.saturating_sub(1);
            if *left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let options = ParseOptions::new().progress_callback(&mut progress);
        let bytes = text.as_bytes();
        let tree = parser.parse_with_options(
            &mut |offset, _| bytes.get(offset..).unwrap_or_default(),
            None,
            Some(options),
        );
        // Otherwise a stopped parse would continue with the next text.
        parser.reset();
        tree
    }
}

/// The greatest number of open brackets, quoted or not.
fn deepest_bracket(text: &str) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// The context of a statement.
#[derive(Debug, Clone, Default)]
struct Around {
    guard: Guard,
    is_skippable: bool,
    function: Option<String>,
    depth: usize,
}

impl Around {
    fn deeper(&self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self.clone()
        }
    }

    fn maybe(&self) -> Self {
        Self {
            is_skippable: true,
            ..self.deeper()
        }
    }

    fn given(&self, guard: Guard) -> Self {
        Self {
            guard: self.guard.and(guard),
            ..self.maybe()
        }
    }
}

struct Walker<'a, 'r> {
    reader: &'r mut Reader,
    text: &'a str,
    /// The offset of the text in the command, if it is a script within it.
    offset: usize,
    steps: Vec<Step>,
}

impl<'a> Walker<'a, '_> {
    fn visit(&mut self, node: Node<'a>, around: &Around) {
        if around.depth > DEEPEST || node.is_error() || node.is_missing() {
            return;
        }
        match node.kind() {
            "comment" => {}
            "command" => self.command(node, None, around),
            "redirected_statement" => self.redirected(node, around),
            "variable_assignment" => self.assignment(node, around),
            "test_command" => {
                self.substitutions(node, around);
                self.stand_alone_test(node, around);
            }
            "declaration_command" | "unset_command" => self.each(node, &around.deeper()),
            "list" => self.and_or(node, around),
            "if_statement" => self.condition(node, around),
            "while_statement" | "for_statement" | "c_style_for_statement" => {
                self.each(node, &around.maybe());
            }
            "case_statement" => self.case(node, around),
            "subshell" | "pipeline" | "command_substitution" | "process_substitution" => {
                self.each(node, &around.maybe());
            }
            "function_definition" => self.function(node, around),
            _ => self.each(node, &around.deeper()),
        }
    }

    fn each(&mut self, node: Node<'a>, around: &Around) {
        for child in named_children(node) {
            self.visit(child, around);
        }
    }

    /// `a && b`, `a || b`: `b` depends on how `a` ends.
    fn and_or(&mut self, node: Node<'a>, around: &Around) {
        let children = named_children(node);
        let [left, right] = children[..] else {
            self.each(node, &around.maybe());
            return;
        };
        self.visit(left, &around.deeper());
        let operator = node.child(1).map_or("", |operator| operator.kind());
        let test = self.test_of(left);
        let given = if operator == "&&" { test } else { test.not() };
        let stops = self.only_stops(right);
        if stops && given == Guard::Failing {
            self.stop(node, around);
        }
        if operator == "&&" {
            // If the left side fails, so does the command, and with it the phase.
            let inside = Around {
                guard: around.guard.and(given),
                ..around.deeper()
            };
            self.visit(right, &inside);
        } else {
            self.visit(right, &around.given(given));
        }
    }

    fn condition(&mut self, node: Node<'a>, around: &Around) {
        let mut test = Guard::None;
        let mut before = Guard::None;
        for (index, child) in named_children(node).into_iter().enumerate() {
            match child.kind() {
                _ if index == 0 => {
                    test = self.test_of(child);
                    self.visit(child, &around.deeper());
                }
                "elif_clause" => {
                    before = before.and(test.not());
                    let condition = named_children(child).into_iter().next();
                    test = condition.map_or(Guard::None, |condition| self.test_of(condition));
                    self.each(child, &around.given(before.and(test)));
                }
                "else_clause" => self.each(child, &around.given(before.and(test.not()))),
                _ => {
                    if self.only_stops(child) && test == Guard::Failing {
                        self.stop(node, around);
                    }
                    self.visit(child, &around.given(before.and(test)));
                }
            }
        }
    }

    fn case(&mut self, node: Node<'a>, around: &Around) {
        let subject = node.child_by_field_name("value");
        let tells = subject.is_some_and(|subject| guard::names_success(self.source(subject)));
        for item in named_children(node) {
            if item.kind() != "case_item" {
                continue;
            }
            let value = item.child_by_field_name("value");
            let value = value.map_or("", |value| self.source(value));
            let guard = match value.trim_matches(['"', '\'']) {
                "1" if tells => Guard::Succeeding,
                "0" if tells => Guard::Failing,
                _ => Guard::None,
            };
            self.each(item, &around.given(guard));
        }
    }

    fn function(&mut self, node: Node<'a>, around: &Around) {
        let Some(name) = node.child_by_field_name("name") else {
            return;
        };
        let Some(body) = node.child_by_field_name("body") else {
            return;
        };
        let inside = Around {
            function: Some(self.source(name).to_owned()),
            depth: around.depth + 1,
            ..Around::default()
        };
        self.visit(body, &inside);
    }

    fn redirected(&mut self, node: Node<'a>, around: &Around) {
        let mut output = None;
        for redirect in named_children(node) {
            if redirect.kind() == "file_redirect" && self.source(redirect).contains('>') {
                let target = redirect.child_by_field_name("destination");
                output = target.map(|target| self.word(target));
            }
        }
        for child in named_children(node) {
            match child.kind() {
                "command" => self.command(child, output.clone(), around),
                "file_redirect" | "heredoc_redirect" | "herestring_redirect" => {
                    self.substitutions(child, around);
                }
                _ => self.visit(child, &around.deeper()),
            }
        }
    }

    fn assignment(&mut self, node: Node<'a>, around: &Around) {
        self.substitutions(node, around);
        let Some(name) = node.child_by_field_name("name") else {
            return;
        };
        let value = node.child_by_field_name("value");
        let end = self.offset + node.end_byte();
        let value = value.map_or(Word::empty(end), |value| self.word(value));
        let name = self.source(name).to_owned();
        self.push(Act::Assign { name, value }, node, around);
    }

    fn command(&mut self, node: Node<'a>, output: Option<Word>, around: &Around) {
        self.substitutions(node, around);
        let mut words = Vec::new();
        for child in named_children(node) {
            match child.kind() {
                "variable_assignment" | "comment" | "file_redirect" | "herestring_redirect" => {}
                _ => words.push(self.word(child)),
            }
        }
        let start = word::program(&words);
        let call = Call {
            words,
            start,
            output,
        };
        if matches!(call.name(), "sh" | "bash" | "eval") {
            self.script_of(&call, around);
            if guard::script_stops(self.source(node)) {
                self.stop(node, around);
            }
        }
        if call.name() == "test" {
            self.stand_alone_test(node, around);
        }
        self.push(Act::Call(call), node, around);
    }

    /// The script in `sh -c '...'`.
    fn script_of(&mut self, call: &Call, around: &Around) {
        let Some(script) = word::script(call) else {
            return;
        };
        let inner = script.start - self.offset..script.end - self.offset;
        let Some(text) = self.text.get(inner) else {
            return;
        };
        let Some(tree) = self.reader.parse(text).filter(|_| around.depth < DEEPEST) else {
            return;
        };
        let mut walker = Walker {
            reader: &mut *self.reader,
            text,
            offset: script.start,
            steps: Vec::new(),
        };
        walker.visit(tree.root_node(), &around.maybe());
        self.steps.append(&mut walker.steps);
    }

    /// Commands inside the words of a statement run before the statement itself.
    fn substitutions(&mut self, node: Node<'a>, around: &Around) {
        if around.depth > DEEPEST {
            return;
        }
        for child in named_children(node) {
            match child.kind() {
                "command_substitution" | "process_substitution" => {
                    self.visit(child, &around.maybe());
                }
                _ => self.substitutions(child, &around.deeper()),
            }
        }
    }

    /// What a condition says about the build.
    fn test_of(&self, node: Node<'a>) -> Guard {
        guard::test(self.source(node))
    }

    /// A test that is a command of its own ends the phase if it does not hold.
    fn stand_alone_test(&mut self, node: Node<'a>, around: &Around) {
        let ends_command = node
            .parent()
            .is_none_or(|parent| parent.kind() == "program" && parent.named_child_count() == 1);
        if ends_command && self.test_of(node) == Guard::Succeeding {
            self.stop(node, around);
        }
    }

    /// Whether a statement only ends the build.
    fn only_stops(&self, node: Node<'a>) -> bool {
        let text = self.source(node).trim();
        let word = text.split_whitespace().next().unwrap_or("");
        matches!(word.trim_end_matches(';'), "exit" | "return")
    }

    fn stop(&mut self, node: Node<'a>, around: &Around) {
        if !around.is_skippable && around.function.is_none() {
            self.push(Act::StopUnlessSucceeding, node, around);
        }
    }

    fn push(&mut self, act: Act, node: Node<'a>, around: &Around) {
        self.steps.push(Step {
            act,
            range: self.offset + node.start_byte()..self.offset + node.end_byte(),
            guard: around.guard,
            is_certain: !around.is_skippable,
            function: around.function.clone(),
        });
    }

    fn word(&self, node: Node<'a>) -> Word {
        word::read(node, self.text, self.offset)
    }

    fn source(&self, node: Node<'a>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or("")
    }
}

fn named_children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}
