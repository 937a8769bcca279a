//! The stories: what happens to a deployed Towline, and the expected results.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use towline_rehearsal::build_service::BadDay;
use towline_rehearsal::client::until;
use towline_rehearsal::proxy::{Fault, Trap};
use towline_rehearsal::shop::definition;
use towline_rehearsal::stack::STACK;
use towline_rehearsal::table::content;

use super::driver::{Driver, HEALED, Pushed, SLACK_SECRET, SOON, WEBHOOK_SECRET, id_of, project};
use super::{Outcomes, costs, invariants, patterns, policies, told};

type Told = anyhow::Result<()>;

/// How soon a secret counts that was never set before: ten seconds, and two for a busy machine.
const FILLED: Duration = Duration::from_secs(12);

/// All stories, in an order that lets one build on another; those that wait run concurrently.
pub async fn all(driver: &Driver<'_>, outcomes: &mut Outcomes) {
    outcomes
        .add(
            "patterns",
            patterns::every_sample_goes_where_it_should(driver),
        )
        .await;
    outcomes.add("secrets", secrets_are_filled(driver)).await;
    let before = costs::Before::now(driver).await;
    let mut shipped = None;
    outcomes
        .add("whole trip", the_whole_trip(driver, &mut shipped))
        .await;
    outcomes
        .add("costs", costs::of_one_run(driver, before))
        .await;
    if let Some((pushed, digest)) = shipped {
        outcomes
            .add("duplicate", a_duplicate_changes_nothing(driver, &pushed))
            .await;
        outcomes
            .add(
                "retag",
                our_own_tags_change_nothing(driver, &pushed, &digest),
            )
            .await;
        outcomes
            .add("slack", slack_is_answered(driver, &pushed))
            .await;
        outcomes
            .add("strangers", strangers_are_refused(driver, &pushed))
            .await;
    }
    let (long, broken, slow, lost, busy, mortal, doomed) = tokio::join!(
        told(
            "long buildspec",
            a_long_buildspec_comes_from_the_bucket(driver)
        ),
        told("failed build", a_failed_build_is_told(driver)),
        told(
            "cancelled build",
            a_build_is_cancelled_with_a_key_of_aws(driver)
        ),
        told("lost events", lost_events_are_healed(driver)),
        told("busy", a_busy_codebuild_is_waited_for(driver)),
        told("mortal", functions_die_in_the_middle(driver)),
        told("doomed", a_function_dies_before_it_commits(driver)),
    );
    let side_by_side = [
        ("long buildspec", long),
        ("failed build", broken),
        ("cancelled build", slow),
        ("lost events", lost),
        ("busy", busy),
        ("mortal", mortal),
        ("doomed", doomed),
    ];
    outcomes.0.extend(side_by_side);
    outcomes
        .add("rotation", the_webhook_secret_is_rotated(driver))
        .await;
    outcomes.add("doctor", the_doctor_is_obeyed(driver)).await;
    outcomes
        .add("everything happened", every_trap_was_sprung(driver))
        .await;
    outcomes.add("invariants", invariants::hold(driver)).await;
    outcomes.add("policies", policies::are_exact(driver)).await;
}

/// A secret that was never set lets nobody in; once it is set, it counts at once.
async fn secrets_are_filled(driver: &Driver<'_>) -> Told {
    let ping = json!({"zen": "again", "hook_id": 1, "hook": {}}).to_string();
    let deliver = async || {
        let hook = driver.deliver(&ping, WEBHOOK_SECRET, "delivery-filled");
        let slack = driver.slack("now", SLACK_SECRET);
        let (hook, slack) = tokio::try_join!(hook, slack)?;
        anyhow::Ok((hook.status, slack.status))
    };
    let unset = deliver().await?;
    ensure!(
        unset == (503, 503),
        "without secrets the answers are {unset:?}"
    );
    driver.set_secret("slack", SLACK_SECRET, &[]).await?;
    driver.set_secret("webhook", WEBHOOK_SECRET, &[]).await?;
    let last = Mutex::new(unset);
    until("the secrets that were filled", FILLED, || async {
        let (hook, slack) = deliver().await?;
        *last.lock().expect("nobody panics with it") = (hook, slack);
        // A valid signature is accepted, and this is not a push.
        Ok((![401, 503].contains(&hook) && slack == 200).then_some(()))
    })
    .await
    .with_context(|| format!("the last answers were {last:?}"))
}

/// Pushed, built, recorded, in staging, approved, in prod, and shown everywhere.
async fn the_whole_trip(driver: &Driver<'_>, shipped: &mut Option<(Pushed, String)>) -> Told {
    let pushed = driver
        .ship("acme/shop", "Open the shop", "<h1>Shop</h1>\n")
        .await?;
    let digest = driver.carry(&pushed, SOON).await?;
    let asked = ["history", "web", "prod", "--repository", "acme/shop"];
    let answer = driver.towline(&driver.lee, &asked).await?;
    let newest = &answer["moves"][0];
    ensure!(
        newest["digest"] == digest.as_str(),
        "the history says {answer}"
    );
    let asked = ["now", "prod", "--repository", "acme/shop"];
    let now = driver.towline(&driver.kim, &asked).await?;
    ensure!(
        now["live"][0]["image"]["digest"] == digest.as_str(),
        "live is {now}"
    );
    ensure!(
        newest["why"]
            .as_str()
            .is_some_and(|why| why.contains("lee")),
        "why? {newest}"
    );
    let expected = [
        ("towline/build/web", "success"),
        ("towline/prod/web", "success"),
        ("towline/staging/web", "success"),
    ];
    let expected: Vec<(String, String)> = expected
        .map(|(context, state)| (context.into(), state.into()))
        .into();
    until("the statuses on GitHub", SOON, || async {
        Ok((driver.statuses(&pushed) == expected).then_some(()))
    })
    .await
    .with_context(|| format!("they are {:?}", driver.statuses(&pushed)))?;
    let tags = tags_of(driver, "acme/shop-web", &digest).await?;
    for tag in ["staging", "prod"] {
        ensure!(
            tags.iter().any(|known| known == tag),
            "the registry has {tags:?}"
        );
    }
    *shipped = Some((pushed, digest));
    Ok(())
}

/// F1, F2: the same push again, with the same delivery id and with another.
async fn a_duplicate_changes_nothing(driver: &Driver<'_>, pushed: &Pushed) -> Told {
    let before = driver.stack.builds.started(&project("acme/shop"));
    let (first, second) = (
        format!("delivery-{}", pushed.commit),
        "delivery-other".to_owned(),
    );
    for delivery in [first, second] {
        let answer = driver
            .deliver(&pushed.body, WEBHOOK_SECRET, &delivery)
            .await?;
        ensure!(
            answer.status == 200,
            "{delivery} was answered with {answer:?}"
        );
    }
    let fields = [("commit", pushed.commit.as_str())];
    let answer = driver.ask(Some(&driver.kim), "commit", &fields).await?;
    let runs = answer.body["runs"].as_array().map(Vec::len);
    ensure!(runs == Some(1), "there are {runs:?} runs");
    let after = driver.stack.builds.started(&project("acme/shop"));
    ensure!(before == after, "{} builds were started", after - before);
    Ok(())
}

/// F33: the event of a tag that Towline set arrives again.
async fn our_own_tags_change_nothing(driver: &Driver<'_>, pushed: &Pushed, digest: &str) -> Told {
    let before = facts(driver).await?;
    for tag in ["staging", "prod"] {
        let event = push_event("acme/shop-web", tag, digest);
        let function = "towline-record-images";
        driver.stack.client.invoke(function, &event, false).await?;
    }
    let after = facts(driver).await?;
    ensure!(
        before == after,
        "the table has changed after an event of {}",
        pushed.commit
    );
    Ok(())
}

/// All facts in the table; due times are not facts.
async fn facts(driver: &Driver<'_>) -> anyhow::Result<Vec<(String, String)>> {
    let items = driver.stack.table().await?;
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
    let mut facts: Vec<(String, String)> = items
        .iter()
        .map(|item| {
            let key = format!("{} {}", text(item, "partition"), text(item, "sort"));
            (key, facts_of(item))
        })
        .filter(|(key, _)| !key.starts_with("INTENT#"))
        .collect();
    facts.sort();
    Ok(facts)
}

/// The facts in an item; intents are not facts.
fn facts_of(item: &Value) -> String {
    let mut said: Value = serde_json::from_str(&content(item)).unwrap_or_default();
    if let Some(fields) = said.as_object_mut() {
        fields.remove("owes");
    }
    said.to_string()
}

fn push_event(repository: &str, tag: &str, digest: &str) -> Value {
    json!({
        "version": "0",
        "id": format!("again-{tag}"),
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": towline_rehearsal::ACCOUNT,
        "time": "2026-01-01T00:00:00Z",
        "region": towline_rehearsal::REGION,
        "resources": [],
        "detail": {
            "result": "SUCCESS",
            "repository-name": repository,
            "image-digest": digest,
            "action-type": "PUSH",
            "image-tag": tag,
        },
    })
}

/// Slack gets the same answer, if the request is signed.
async fn slack_is_answered(driver: &Driver<'_>, pushed: &Pushed) -> Told {
    let answer = driver.slack("history web prod", SLACK_SECRET).await?;
    ensure!(answer.status == 200, "Slack was answered with {answer:?}");
    let text = answer.body.to_string();
    ensure!(
        text.contains(pushed.commit.short()),
        "Slack was told {text}"
    );
    let forged = driver
        .slack("history web prod", "8f742231b10e8888abcd99yyyzzz85a6")
        .await?;
    ensure!(
        forged.status == 401,
        "a forged command was answered with {forged:?}"
    );
    Ok(())
}

/// A2, A7 and callers without a token.
async fn strangers_are_refused(driver: &Driver<'_>, pushed: &Pushed) -> Told {
    let forged = "an entirely different secret, long enough";
    let answer = driver
        .deliver(&pushed.body, forged, "delivery-forged")
        .await?;
    ensure!(
        answer.status == 401,
        "a forged push was answered with {answer:?}"
    );
    let answer = driver
        .deliver_signed(&pushed.body, "sha256=00", "delivery-short")
        .await?;
    ensure!(
        answer.status == 401,
        "half a signature was answered with {answer:?}"
    );
    let foreign = pushed.body.replace("acme/shop", "evil/shop");
    let answer = driver
        .deliver(&foreign, WEBHOOK_SECRET, "delivery-foreign")
        .await?;
    ensure!(
        answer.status == 200,
        "a foreign push was answered with {answer:?}"
    );
    for token in [None, Some("nobody-has-this-token")] {
        let answer = driver.ask(token, "now", &[]).await?;
        ensure!(
            answer.status == 401,
            "{token:?} was answered with {answer:?}"
        );
    }
    Ok(())
}

/// A build that fails is failed, with its reason, and nothing is promoted.
async fn a_failed_build_is_told(driver: &Driver<'_>) -> Told {
    let pushed = driver
        .ship("acme/broken", "Close it", "<h1>Closed</h1>\n")
        .await?;
    let build = driver
        .until_build(&pushed, &["succeeded", "failed"], SOON)
        .await?;
    ensure!(build["state"] == "failed", "the build ended so: {build}");
    let expected = [("towline/build/web".to_owned(), "failure".to_owned())];
    until("the failure on GitHub", SOON, || async {
        Ok((driver.statuses(&pushed) == expected).then_some(()))
    })
    .await
    .with_context(|| format!("they are {:?}", driver.statuses(&pushed)))
}

/// A person without a token, whom API Gateway authenticates by a signature, cancels a build and
/// reads its log; the next push reaches a stage with its own deployer, which receives the event.
async fn a_build_is_cancelled_with_a_key_of_aws(driver: &Driver<'_>) -> Told {
    let key = driver.add_signer("maria").await?;
    let key = [(key[0].0, key[0].1.as_str()), (key[1].0, key[1].1.as_str())];
    // For a stranger, a function reads the people again, but at most once in ten seconds.
    let signed = async |arguments: &[&str]| {
        let all = [arguments, &["--sigv4", "--url", &driver.stack.api]].concat();
        until("functions that know maria", SOON, || async {
            let ended = driver.stack.towline_with(&all, &key).await?;
            let is_stranger = ended.complained.contains("no known person");
            Ok((!is_stranger).then_some(ended))
        })
        .await
    };
    let pushed = driver
        .ship("acme/slow", "Take time", "<h1>Slow shop, Shop</h1>\n")
        .await?;
    let build = driver.until_build(&pushed, &["building"], SOON).await?;
    let number = build["build"].to_string();
    let of_build = [number.as_str(), "--repository", "acme/slow"];
    signed(&[&["cancel"], &of_build[..]].concat())
        .await?
        .well()?;
    driver.until_build(&pushed, &["cancelled"], SOON).await?;
    until("the log of the cancelled build", SOON, || async {
        let log = signed(&[&["logs"], &of_build[..]].concat()).await?.well()?;
        Ok(log.contains("slowly").then_some(()))
    })
    .await?;

    let shop = driver.shop("acme/slow");
    let definition = format!("{}    deploy: {{event: {{}}}}\n", definition("acme/slow"));
    shop.write(".towline.yml", &definition).await?;
    let pushed = driver.ship("acme/slow", "Hurry", "<h1>Shop</h1>\n").await?;
    let digest = driver.carry(&pushed, SOON).await?;
    let recording = driver.stack.proxy.recording();
    until("the event for the deployer", SOON, || async {
        let requests = recording.since(0);
        let mut requests = requests.iter().filter(|r| r.function == "deploy-images");
        Ok(requests
            .find(|request| request.body.to_string().contains(&digest))
            .map(|_| ()))
    })
    .await
}

/// F6: no event of the build arrives; the sweep looks it up.
async fn lost_events_are_healed(driver: &Driver<'_>) -> Told {
    driver.stack.builds.lose_events(&project("acme/lost"));
    let pushed = driver
        .ship("acme/lost", "Lose it", "<h1>Shop</h1>\n")
        .await?;
    driver.carry(&pushed, HEALED).await.map(|_| ())
}

/// F9: CodeBuild is full and throttled; nothing fails, and the build starts eventually.
async fn a_busy_codebuild_is_waited_for(driver: &Driver<'_>) -> Told {
    // Several calls retry on their own.
    let days = [
        BadDay::Full,
        BadDay::Throttled,
        BadDay::Throttled,
        BadDay::Throttled,
    ];
    driver.stack.builds.refuse(&project("acme/busy"), days);
    let pushed = driver
        .ship("acme/busy", "Be patient", "<h1>Shop</h1>\n")
        .await?;
    driver.carry(&pushed, HEALED).await?;
    let started = driver.stack.builds.started(&project("acme/busy"));
    ensure!(started == 1, "{started} builds were started");
    Ok(())
}

/// F11 to F13: the functions of the chain die once in the middle of their work. Not advance-stages:
/// its commits are often one deflated item, which no trap can distinguish from those of other
/// repositories.
async fn functions_die_in_the_middle(driver: &Driver<'_>) -> Told {
    let about = id_of("acme/mortal").to_string();
    let deaths = [
        ("plan-runs", "TransactWriteItems", &about, Fault::DeadAfter),
        (
            "start-builds",
            "StartBuild",
            &"towline-acme-mortal-web".to_owned(),
            Fault::DeadAfter,
        ),
        (
            "record-images",
            "TransactWriteItems",
            &"acme/mortal-web".to_owned(),
            Fault::DeadBefore,
        ),
        (
            "promote-images",
            "PutImage",
            &"acme/mortal-web".to_owned(),
            Fault::DeadAfter,
        ),
    ];
    for (function, operation, about, fault) in deaths {
        driver.stack.proxy.set(Trap {
            function,
            operation,
            about: about.clone(),
            fault,
            times: 1,
        });
    }
    let pushed = driver.ship("acme/mortal", "Die", "<h1>Shop</h1>\n").await?;
    driver.carry(&pushed, HEALED).await?;
    let started = driver.stack.builds.started(&project("acme/mortal"));
    ensure!(started == 1, "{started} builds were started");
    Ok(())
}

/// F13: a function dies before it has committed anything. The emulator does not retry a call of a
/// rule, so one death is as final as three on AWS; then the sweep causes another call.
async fn a_function_dies_before_it_commits(driver: &Driver<'_>) -> Told {
    driver.stack.proxy.set(Trap {
        function: "plan-runs",
        operation: "TransactWriteItems",
        about: id_of("acme/doomed").to_string(),
        fault: Fault::DeadBefore,
        times: 1,
    });
    let pushed = driver
        .ship("acme/doomed", "Die before", "<h1>Shop</h1>\n")
        .await?;
    driver.carry(&pushed, HEALED).await.map(|_| ())
}

/// A buildspec that is too long for CodeBuild's request is in the stack's bucket, where the build reads it.
async fn a_long_buildspec_comes_from_the_bucket(driver: &Driver<'_>) -> Told {
    let name = "acme/long";
    let tests: Vec<String> = (0..1_000)
        .map(|number| format!("test {number:04} = {number:04}"))
        .collect();
    let definition = definition(name);
    let short = "[grep -q Shop index.html]";
    ensure!(definition.contains(short), "the sample has another test");
    let long = definition.replace(short, &json!(tests).to_string());
    driver.shop(name).write(".towline.yml", &long).await?;
    let pushed = driver.ship(name, "Test a lot", "<h1>Shop</h1>\n").await?;
    driver.carry(&pushed, SOON).await?;
    let requests = driver.stack.proxy.recording().since(0);
    let started = requests.iter().find(|request| {
        request.operation == "StartBuild" && request.body["projectName"] == project(name).as_str()
    });
    let started = started.context("no build was started")?;
    let place = started.body["buildspecOverride"].as_str();
    let place = place.context("the build has no buildspec")?;
    let bucket = &driver.stack.outputs["BucketName"];
    let in_bucket = format!("arn:aws:s3:::{bucket}/buildspecs/");
    ensure!(place.starts_with(&in_bucket), "the buildspec is {place}");
    let text = driver.stack.client.object(place).await?;
    ensure!(
        text.chars().count() > 25_600 && text.contains("test 0999 = 0999"),
        "in the bucket is {text}"
    );
    Ok(())
}

/// A4: the previous secret also counts, for an hour at most.
async fn the_webhook_secret_is_rotated(driver: &Driver<'_>) -> Told {
    let second = format!("{:-<40}", "the second secret");
    let ping = json!({"zen": "again", "hook_id": 1, "hook": {}}).to_string();
    let answered = async |secret: &str, good: bool| {
        // A wrong signature causes another read of the secret, but not many times a minute.
        let what = format!("an answer to {secret:?} that is good: {good}");
        until(&what, SOON, || async {
            let answer = driver.deliver(&ping, secret, "delivery-rotation").await?;
            Ok(((answer.status != 401) == good).then_some(()))
        })
        .await
    };
    driver.set_secret("webhook", &second, &[]).await?;
    for secret in [&second, WEBHOOK_SECRET] {
        answered(secret, true).await?;
    }
    let generate = ["secret", "set", "webhook", "--generate", "--yes"];
    let made = driver
        .towline("", &[&generate[..], &["--stack", STACK]].concat())
        .await?;
    let third = made["secret"].as_str().context("no secret was made")?;
    for (secret, good) in [(third, true), (&second, true), (WEBHOOK_SECRET, false)] {
        answered(secret, good).await?;
    }
    Ok(())
}

async fn every_trap_was_sprung(driver: &Driver<'_>) -> Told {
    let left = driver.stack.proxy.traps_left();
    ensure!(left.is_empty(), "nothing went into {left:?}");
    let missed = driver.stack.proxy.missed_kills();
    ensure!(missed.is_empty(), "nobody was killed at {missed:?}");
    Ok(())
}

/// The doctor's findings are fixed with its own advice, and do not appear again. The emulator's
/// CloudFormation leaves out a part of the table, which is useful here. The emulator's host name
/// for the API needs name resolution, so the API is reached by its address.
async fn the_doctor_is_obeyed(driver: &Driver<'_>) -> Told {
    let name = driver.stack.outputs["ApiUrl"].as_str();
    let found = |printed: &str| -> Vec<String> {
        let lines = printed.lines().map(str::trim);
        let wrong = lines.filter(|line| line.starts_with(['✘', '?']) && !line.contains(name));
        wrong.map(str::to_owned).collect()
    };
    let asked = ["doctor", "--stack", STACK];
    let said = driver.stack.towline(&asked, &driver.kim).await?.printed;
    let wrong = found(&said);
    for left_out in ["point-in-time recovery", "time to live"] {
        let there = wrong.iter().any(|finding| finding.contains(left_out));
        ensure!(
            there,
            "the doctor does not find what is left out in\n{said}"
        );
    }
    for finding in wrong {
        let command = finding.split_once("→ aws ").map(|(_, words)| words);
        let command = command.with_context(|| format!("no command fixes {finding}"))?;
        let words: Vec<&str> = command.split_whitespace().collect();
        driver.stack.aws(&words).await?;
    }
    for place in [["--stack", STACK], ["--url", &driver.stack.api]] {
        let asked = [&["doctor"], &place[..]].concat();
        let said = driver.stack.towline(&asked, &driver.kim).await?.printed;
        let wrong = found(&said);
        ensure!(
            said.contains('✔') && wrong.is_empty(),
            "the doctor finds {wrong:#?} of all in\n{said}"
        );
        println!("{said}");
    }
    Ok(())
}

/// The tags of an image in the registry.
async fn tags_of(
    driver: &Driver<'_>,
    repository: &str,
    digest: &str,
) -> anyhow::Result<Vec<String>> {
    let asked = json!({"repositoryName": repository, "imageIds": [{"imageDigest": digest}]});
    let target = "AmazonEC2ContainerRegistry_V20150921.DescribeImages";
    let answer = driver.stack.client.call("ecr", target, &asked).await?;
    let Some(tags) = answer["imageDetails"][0]["imageTags"].as_array() else {
        bail!("the registry says {answer}");
    };
    Ok(tags
        .iter()
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect())
}
