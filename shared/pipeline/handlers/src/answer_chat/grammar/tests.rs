//! What people type, and what is understood: the question, and the same for a shell.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

use expect_test::{Expect, expect};

use super::*;

/// The question as the API would take it, and the command line that asks the same.
fn check(text: &str, expect: Expect) {
    let now: Timestamp = "2026-03-02T13:00:00Z".parse().expect("a moment");
    let read = match read(text, now) {
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
        $ towline tags --branch=feature/a backend"#]],
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
        $ towline image 'sha256:858e0a1b…'"#]],
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
        $ towline image build#142"#]],
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
}

#[test]
fn a_moment_is_whatever_follows_the_at_sign() {
    check(
        "now @ 2h ago",
        expect![[r#"
        at="2026-03-02T11:00:00Z" query="now"
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
        at="2026-03-02T11:00:00Z" query="now" stage="prod"
        $ towline now prod --at '2h ago'"#]],
    );
    check(
        "now @",
        expect!["! write a moment as 2026-02-27T12:00 (UTC), 2026-02-27T12:00+09:00 or 2h ago"],
    );
    check(
        "now @ tomorrow",
        expect!["! write a moment as 2026-02-27T12:00 (UTC), 2026-02-27T12:00+09:00 or 2h ago"],
    );
    check(
        "now @ 2027-01-01",
        expect!["! that moment lies ahead; leave it out for what is live now"],
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
    check("tags 'backend", expect!["! a ' is never closed"]);
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
        expect![
            "! COMPONENT is missing: /towline tags COMPONENT [--branch BRANCH] [--limit N] — a component's images and tags, newest first"
        ],
    );
    check(
        "commit",
        expect!["! COMMIT is missing: /towline commit COMMIT — what became of a commit"],
    );
    check(
        "where",
        expect![
            "! REF is missing: /towline where REF — where a commit's images are, and what keeps them from the next stage"
        ],
    );
    check(
        "history backend",
        expect![
            "! STAGE is missing: /towline history COMPONENT STAGE [--limit N] — what was live in a stage, newest first"
        ],
    );
    check(
        "history backend prod staging",
        expect![[
            r#"! "staging" is too much: /towline history COMPONENT STAGE [--limit N] — what was live in a stage, newest first"#
        ]],
    );
    check(
        "tags back/end",
        expect![[
            r#"! "back/end" is not a component name: 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit"#
        ]],
    );
    check("tags backend --limit", expect!["! --limit wants a value"]);
    check(
        "tags backend --limit 0",
        expect!["! --limit goes from 1 to 30 in chat"],
    );
    check(
        "tags backend --limit many",
        expect!["! --limit goes from 1 to 30 in chat"],
    );
    check(
        "tags backend --limit 1 --limit 2",
        expect!["! --limit is given more than once"],
    );
    check(
        "tags backend --stage prod",
        expect![
            "! --stage is not known here: /towline tags COMPONENT [--branch BRANCH] [--limit N] — a component's images and tags, newest first"
        ],
    );
}

#[test]
fn a_slip_of_the_fingers_is_recognised() {
    check(
        "tag backend",
        expect![[r#"! there is no "tag"; did you mean tags? All words: /towline help"#]],
    );
    check(
        "hsitory backend prod",
        expect![[r#"! there is no "hsitory"; did you mean history? All words: /towline help"#]],
    );
    check(
        "aprove 58",
        expect![[r#"! there is no "aprove"; did you mean approve? All words: /towline help"#]],
    );
    check(
        "<!channel>",
        expect![[r#"! there is no "<!channel>"; all words: /towline help"#]],
    );
    check(
        "now\u{202e}",
        expect![[r#"! there is no "now\u{202e}"; did you mean now? All words: /towline help"#]],
    );
}

#[test]
fn what_chat_cannot_do_yet_is_said_with_what_can() {
    check(
        "approve 58 \"looks good; rm -rf /\"",
        expect![
            "! approve is not done from chat yet; on the command line: towline approve 58 'looks good; rm -rf /'"
        ],
    );
    check(
        "promote backend 3f9c2ab prod --wait",
        expect![
            "! promote is not done from chat yet; on the command line: towline promote backend 3f9c2ab prod --wait"
        ],
    );
    check(
        "rollback backend prod to 9f8e7d6",
        expect![
            "! rollback is not done from chat yet; on the command line: towline rollback backend prod --to 9f8e7d6"
        ],
    );
    check(
        "cancel build#142",
        expect![
            "! cancel is not done from chat yet; on the command line: towline cancel build#142"
        ],
    );
    check(
        "lock prod",
        expect!["! this version of Towline has no lock yet; what there is: /towline help"],
    );
    check(
        "run backend",
        expect!["! this version of Towline has no run yet; what there is: /towline help"],
    );
}

#[test]
fn help_tells_every_word_and_one_in_full() {
    check(
        "",
        expect![[r#"
        help: /towline tags COMPONENT [--branch BRANCH] [--limit N] — a component's images and tags, newest first
        /towline commit COMMIT — what became of a commit
        /towline image REF [--component COMPONENT] — everything known of an image: sha256:858e, 3f9c2ab, :prod, build#142
        /towline history COMPONENT STAGE [--limit N] — what was live in a stage, newest first
        /towline now [STAGE] [--component COMPONENT] [@ TIME] — what is live, or was at 2026-02-27T12:00 or 2h ago
        /towline where REF — where a commit's images are, and what keeps them from the next stage
        /towline why REF [COMPONENT] — why a commit was built or not
        /towline runs [--limit N] — the newest runs
        /towline help [WORD] — this
        A REF is a commit's first digits, a tag (:prod), a digest's first digits (sha256:858e) or build#142. The rest is done on the command line: towline promote, approve, reject, rollback, hold, resume, cancel, retry, logs"#]],
    );
    check(
        "help tags",
        expect![
            "help: /towline tags COMPONENT [--branch BRANCH] [--limit N] — a component's images and tags, newest first"
        ],
    );
    check(
        "tags --help",
        expect![
            "help: /towline tags COMPONENT [--branch BRANCH] [--limit N] — a component's images and tags, newest first"
        ],
    );
    check(
        "help approve",
        expect!["help: approve is not done from chat yet; on the command line: towline approve"],
    );
    check(
        "help Tag",
        expect![[r#"help: there is no "tag"; did you mean tags? All words: /towline help"#]],
    );
}
