//! Finds the steps of a parsed command, and the conditions under which each one runs.

use tree_sitter::Node;

use super::{Act, Call, DEEPEST, Guard, Reader, Step, Word, guard, named_children, word};

impl Reader {
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
        let call = Call::new(words, output);
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
        let Some(script) = call.script() else {
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
