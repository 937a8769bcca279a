//! Reading a signed push of 10 KB and of 1 MB, as `receive-github` does.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use towline_wire::github::{self, Delivery, Encoding};
use towline_wire::http::Headers;
use towline_wire::signature::{self, Secret, Secrets, VerifiedBody};

const PUSH: &str = include_str!("../../../../events/samples/github/push.branch.json");

criterion_group! {
    name = push;
    config = Criterion::default().without_plots();
    targets = decode
}
criterion_main!(push);

fn decode(criterion: &mut Criterion) {
    let delivery = Delivery {
        event: "push".into(),
        id: "72d3162e-cc78-11e3-81ab-4c9367dc0958".into(),
        encoding: Encoding::Json,
    };
    let mut group = criterion.benchmark_group("push");
    for (name, bytes) in [("10 KB", 10_000), ("1 MB", 1_000_000)] {
        let body = verified(of_size(bytes));
        group.throughput(Throughput::Bytes(body.bytes().len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| github::decode(black_box(&delivery), black_box(&body)));
        });
        github::decode(&delivery, &body).expect("a push");
    }
    group.finish();
}

/// The push with its commits again and again, and with longer lists of files, until it is that large.
fn of_size(bytes: usize) -> Vec<u8> {
    let mut push: Value = serde_json::from_str(PUSH).expect("JSON");
    let commits = push["commits"].as_array().expect("commits").clone();
    for (number, commit) in (0..).zip(commits.iter().cycle()) {
        let text = push.to_string();
        if text.len() >= bytes {
            return text.into_bytes();
        }
        let mut commit = commit.clone();
        let files = (0..100).map(|file| format!("backend/src/part-{number}/file-{file}.rs"));
        if bytes > 100_000 {
            commit["modified"] = files.collect();
        }
        push["commits"]
            .as_array_mut()
            .expect("commits")
            .push(commit);
    }
    unreachable!("there is a commit to repeat")
}

fn verified(body: Vec<u8>) -> VerifiedBody {
    let secret = || Secret::new(&"s".repeat(32)).expect("a secret");
    let mut headers = Headers::default();
    headers.push(signature::HEADER, signature::sign(&secret(), &body));
    signature::verify(&headers, body, &Secrets::new(secret(), None)).expect("signed")
}
