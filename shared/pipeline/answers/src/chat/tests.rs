//! Chat commands as typed, and as understood: the question, and the same as a shell command.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

use expect_test::{Expect, expect};

use super::*;

/// The question as the API would take it, and the command line that asks the same.
fn check(text: &str, expect: Expect) {
    let read = match read(text) {
        Ok(Typed::Ask(query, again)) => {
            let query = serde_json::to_value(query).expect("it is JSON");
            let fields = query.as_object().expect("it has fields");
            let given = fields.iter().filter(|(_, value)| !value.is_null());
            let given: Vec<String> = given
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{}\n$ {again}", given.join(" "))
        }
        Ok(Typed::Help(text)) => format!("help: {text}"),
        Err(reason) => format!("! {reason}"),
    };
    expect.assert_eq(&read);
}

#[test]
fn every_question_is_understood() {
    check(
        "tags backend",
        expect![[r#"
        component="backend" query="tags"
        $ towline tags backend"#]],
    );
    check(
        "  TAGS   backend --limit 3 --branch main ",
        expect![[r#"
        branch="main" component="backend" limit=3 query="tags"
        $ towline tags backend --limit 3 --branch main"#]],
    );
    check(
        "tags --branch=feature/a backend",
        expect![[r#"
            branch="feature/a" component="backend" query="tags"
            $ towline tags '--branch=feature/a' backend"#]],
    );
    check(
        "tags backend --repository acme/shop",
        expect![[r#"
        component="backend" query="tags" repository="acme/shop"
        $ towline tags backend --repository acme/shop"#]],
    );
    check(
        "commit 3f9c2ab",
        expect![[r#"
        commit="3f9c2ab" query="commit"
        $ towline commit 3f9c2ab"#]],
    );
    check(
        "image sha256:858e0a1b…",
        expect![[r#"
            image="sha256:858e0a1b" query="image"
            $ towline image sha256:858e0a1b…"#]],
    );
    check(
        "image :prod --component backend",
        expect![[r#"
        component="backend" image=":prod" query="image"
        $ towline image :prod --component backend"#]],
    );
    check(
        "image build#142",
        expect![[r#"
            image="build#142" query="image"
            $ towline image 'build#142'"#]],
    );
    check(
        "history backend prod --limit 30",
        expect![[r#"
        component="backend" limit=30 query="history" stage="prod"
        $ towline history backend prod --limit 30"#]],
    );
    check(
        "now",
        expect![[r#"
        query="now"
        $ towline now"#]],
    );
    check(
        "now prod --component backend",
        expect![[r#"
        component="backend" query="now" stage="prod"
        $ towline now prod --component backend"#]],
    );
    check(
        "where 3f9c2ab",
        expect![[r#"
        query="where" reference="3f9c2ab"
        $ towline where 3f9c2ab"#]],
    );
    check(
        "why 3f9c2ab todo",
        expect![[r#"
        component="todo" query="why" reference="3f9c2ab"
        $ towline why 3f9c2ab todo"#]],
    );
    check(
        "runs --limit 2",
        expect![[r#"
        limit=2 query="runs"
        $ towline runs --limit 2"#]],
    );
    check(
        "queue",
        expect![[r#"
        query="queue"
        $ towline queue"#]],
    );
}

#[test]
fn a_moment_is_whatever_follows_the_at_sign() {
    check(
        "now @ 2h ago",
        expect![[r#"
            at="2h ago" query="now"
            $ towline now --at '2h ago'"#]],
    );
    check(
        "now prod @2026-02-27T12:00",
        expect![[r#"
        at="2026-02-27T12:00:00Z" query="now" stage="prod"
        $ towline now prod --at 2026-02-27T12:00"#]],
    );
    check(
        "now prod --at '2h ago'",
        expect![[r#"
            at="2h ago" query="now" stage="prod"
            $ towline now prod --at '2h ago'"#]],
    );
    check(
        "now @",
        expect![[r#"
            ! invalid value '' for '--at <TIME>': write a moment as 2026-02-27T12:00 (UTC), 2026-02-27T12:00+09:00 or 2h ago

            For all commands: /towline help"#]],
    );
    check(
        "now @ tomorrow",
        expect![[r#"
            ! invalid value 'tomorrow' for '--at <TIME>': write a moment as 2026-02-27T12:00 (UTC), 2026-02-27T12:00+09:00 or 2h ago

            For all commands: /towline help"#]],
    );
}

#[test]
fn quotes_join_words_and_are_never_a_shells() {
    check(
        "tags \"backend\" --branch 'a b'",
        expect![[r#"
        branch="a b" component="backend" query="tags"
        $ towline tags backend --branch 'a b'"#]],
    );
    check(
        "tags backend --branch \"it's $(me)\"",
        expect![[r#"
        branch="it's $(me)" component="backend" query="tags"
        $ towline tags backend --branch 'it'\''s $(me)'"#]],
    );
    check(
        "tags backend --branch 'x;id'",
        expect![[r#"
        branch="x;id" component="backend" query="tags"
        $ towline tags backend --branch 'x;id'"#]],
    );
    check(
        "tags backend —limit 3",
        expect![[r#"
        component="backend" limit=3 query="tags"
        $ towline tags backend --limit 3"#]],
    );
    check("tags 'backend", expect!["! a quote is not closed"]);
    check(
        "tags backend --branch \"\"",
        expect![[r#"
        branch="" component="backend" query="tags"
        $ towline tags backend --branch ''"#]],
    );
}

#[test]
fn what_is_wrong_is_said_with_what_to_type_instead() {
    check(
        "tags",
        expect![[r#"
        ! the following required arguments were not provided:
          <COMPONENT>

        Usage: /towline tags <COMPONENT>

        For all commands: /towline help"#]],
    );
    check(
        "commit",
        expect![[r#"
        ! the following required arguments were not provided:
          <COMMIT>

        Usage: /towline commit <COMMIT>

        For all commands: /towline help"#]],
    );
    check(
        "where",
        expect![[r#"
        ! the following required arguments were not provided:
          <REF>

        Usage: /towline where <REF>

        For all commands: /towline help"#]],
    );
    check(
        "history backend",
        expect![[r#"
        ! the following required arguments were not provided:
          <STAGE>

        Usage: /towline history <COMPONENT> <STAGE>

        For all commands: /towline help"#]],
    );
    check(
        "history backend prod staging",
        expect![[r#"
        ! unexpected argument 'staging' found

        Usage: /towline history [OPTIONS] <COMPONENT> <STAGE>

        For all commands: /towline help"#]],
    );
    check(
        "tags back/end",
        expect![[r#"
        ! invalid value 'back/end' for '<COMPONENT>': "back/end" is not a component name: 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit

        For all commands: /towline help"#]],
    );
    check(
        "tags backend --limit",
        expect![[r#"
        ! a value is required for '--limit <N>' but none was supplied

        For all commands: /towline help"#]],
    );
    check(
        "tags backend --limit 31",
        expect![
            "! chat shows at most 30 lines. Run it on the command line: towline tags backend --limit 31"
        ],
    );
    check(
        "tags backend --limit 0",
        expect![[r#"
        ! invalid value '0' for '--limit <N>': 0 is not in 1..=500

        For all commands: /towline help"#]],
    );
    check(
        "tags backend --limit many",
        expect![[r#"
        ! invalid value 'many' for '--limit <N>': invalid digit found in string

        For all commands: /towline help"#]],
    );
    check(
        "tags backend --limit 1 --limit 2",
        expect![[r#"
        ! the argument '--limit <N>' cannot be used multiple times

        Usage: /towline tags [OPTIONS] <COMPONENT>

        For all commands: /towline help"#]],
    );
    check(
        "tags backend --stage prod",
        expect![[r#"
        ! unexpected argument '--stage' found

          tip: to pass '--stage' as a value, use '-- --stage'

        Usage: /towline tags <COMPONENT>

        For all commands: /towline help"#]],
    );
}

#[test]
fn a_slip_of_the_fingers_is_recognized() {
    check(
        "tag backend",
        expect![[r#"
            ! unknown command "tag"; did you mean: tags?

            For all commands: /towline help"#]],
    );
    check(
        "hsitory backend prod",
        expect![[r#"
            ! unknown command "hsitory"; did you mean: history?

            For all commands: /towline help"#]],
    );
    check(
        "aprove 58",
        expect![[r#"
            ! unknown command "aprove"; did you mean: promote, approve?

            For all commands: /towline help"#]],
    );
    check(
        "<!channel>",
        expect![[r#"
            ! unknown command "<!channel>"; did you mean: cancel?

            For all commands: /towline help"#]],
    );
    check(
        "now\u{202e}",
        expect![[r#"
        ! unknown command "now�"; did you mean: now?

        For all commands: /towline help"#]],
    );
}

#[test]
fn what_chat_cannot_do_yet_is_said_with_what_can() {
    check(
        "approve 58 \"looks good; rm -rf /\"",
        expect![
            "! approve is not available in chat yet; run it on the command line: towline approve 58 'looks good; rm -rf /'"
        ],
    );
    check(
        "promote backend 3f9c2ab prod --wait",
        expect![
            "! promote is not available in chat yet; run it on the command line: towline promote backend 3f9c2ab prod --wait"
        ],
    );
    check(
        "rollback backend prod to 9f8e7d6",
        expect![
            "! rollback is not available in chat yet; run it on the command line: towline rollback backend prod to 9f8e7d6"
        ],
    );
    check(
        "cancel build#142",
        expect![
            "! cancel is not available in chat yet; run it on the command line: towline cancel 'build#142'"
        ],
    );
}

#[test]
fn help_tells_every_word_and_one_in_full() {
    check(
        "",
        expect![[r#"
            help: Ask which image is where, since when and why.

            Usage: /towline <COMMAND>

            Commands:
              now      Show what is live, now or at an earlier time, by component and stage
              where    Show where a commit's images are, and what keeps them from the next stage
              why      Show why a commit was built or not
              runs     List the newest runs
              queue    Show running builds, and what each waiting build waits for
              commit   Show the builds and images of a commit
              tags     List a component's images and tags, newest first
              image    Show everything known about an image
              history  List the images that were live in a stage, newest first
              help     Print this message or the help of the given subcommand(s)

            Options:
              -h, --help  Print help

            A REF is the first digits of a commit (3f9c2ab), a tag (:prod), the first digits of a digest
            (sha256:858e0a1b) or a build (build#142). `now` also takes @ TIME, as in: now prod @ 2h ago

            On the command line only: promote, approve, reject, rollback, hold, resume, cancel, retry, logs, audit"#]],
    );
    check(
        "help tags",
        expect![[r#"
        help: List a component's images and tags, newest first

        Usage: /towline tags [OPTIONS] <COMPONENT>

        Arguments:
          <COMPONENT>  The component

        Options:
              --branch <BRANCH>          Only images built from this branch
              --limit <N>                How many lines to show, 1 to 500 [default: 10]
              --repository <OWNER/NAME>  The repository, if several have a component of that name
          -h, --help                     Print help

        Examples:
          /towline tags backend
          /towline tags backend --branch main --limit 20"#]],
    );
    check(
        "tags --help",
        expect![[r#"
        help: List a component's images and tags, newest first

        Usage: /towline tags [OPTIONS] <COMPONENT>

        Arguments:
          <COMPONENT>  The component

        Options:
              --branch <BRANCH>          Only images built from this branch
              --limit <N>                How many lines to show, 1 to 500 [default: 10]
              --repository <OWNER/NAME>  The repository, if several have a component of that name
          -h, --help                     Print help

        Examples:
          /towline tags backend
          /towline tags backend --branch main --limit 20"#]],
    );
    check(
        "help approve",
        expect![
            "! approve is not available in chat yet; run it on the command line: towline approve"
        ],
    );
    check(
        "help Tag",
        expect![[r#"
        ! unknown command "Tag"

        For all commands: /towline help"#]],
    );
}
