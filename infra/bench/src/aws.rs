//! A stand-in for AWS during measurements: every request succeeds, and only the admitted repositories are
//! stored, because a function reads them once and remembers them.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::{events, http};

/// The partition of stored items.
const ADMISSION: &str = "ADMISSION";
static ADMITTED: Mutex<Vec<Value>> = Mutex::new(Vec::new());

/// Answers on a free loopback port, with TLS if a certificate and its key are given.
pub fn start(tls: Option<(&Path, &Path)>) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let tls = tls.map(|(chain, key)| config(chain, key)).transpose()?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tls = tls.clone();
            thread::spawn(move || {
                // A killed function does not close its connection.
                let _ = serve(stream, tls);
            });
        }
    });
    Ok(address)
}

fn config(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .context("the certificate")?;
    let key = PrivateKeyDer::from_pem_file(key).context("its key")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

fn serve(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => answer_all(stream),
        Some(config) => {
            let connection = ServerConnection::new(config)?;
            answer_all(StreamOwned::new(connection, stream))
        }
    }
}

fn answer_all(stream: impl Read + Write) -> Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = http::read(&mut reader)? {
        let target = request.header("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let asked = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let (status, body) = match answer(operation, &asked) {
            Some(body) => ("200 OK", body),
            None => (
                "400 Bad Request",
                json!({"__type": "ResourceNotFoundException"}),
            ),
        };
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amzn-requestid", "measured"),
        ];
        let body = body.to_string();
        http::write(reader.get_mut(), status, &headers, body.as_bytes())?;
    }
    Ok(())
}

fn answer(operation: &str, asked: &Value) -> Option<Value> {
    Some(match operation {
        "Query" => {
            let values = asked["ExpressionAttributeValues"].as_object()?;
            let admitted = values.values().any(|value| value["S"] == ADMISSION);
            let items = if admitted { lock().clone() } else { Vec::new() };
            json!({"Count": items.len(), "ScannedCount": items.len(), "Items": items})
        }
        "TransactWriteItems" => {
            let written = asked["TransactItems"].as_array()?.iter();
            let items = written.map(|part| &part["Put"]["Item"]);
            let admitted = items.filter(|item| item["partition"]["S"] == ADMISSION);
            let mut known = lock();
            for item in admitted {
                known.retain(|old| old["sort"] != item["sort"]);
                known.push(item.clone());
            }
            json!({})
        }
        "PutEvents" => {
            let entries = asked["Entries"].as_array()?;
            let ids: Vec<_> = entries.iter().map(|_| json!({"EventId": "e"})).collect();
            json!({"FailedEntryCount": 0, "Entries": ids})
        }
        "GetSecretValue" => {
            // No secret is being rotated.
            let current = asked["VersionStage"].as_str() != Some("AWSPREVIOUS");
            let name = asked["SecretId"].as_str()?;
            json!({
                "ARN": name, "Name": name, "VersionId": "1", "VersionStages": ["AWSCURRENT"],
                "SecretString": events::secret(name).filter(|_| current)?,
            })
        }
        _ => json!({}),
    })
}

fn lock() -> std::sync::MutexGuard<'static, Vec<Value>> {
    ADMITTED.lock().unwrap_or_else(PoisonError::into_inner)
}
