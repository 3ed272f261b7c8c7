//! Transactions as text and as JSON.

use std::io::{self, Write};

use ringkeeper_engine::log;
use ringkeeper_engine::op::OpSpec;
use ringkeeper_engine::txn::{CONFIG_NODE, DeleteCause, NodeKind, Txn, TxnBody};
use ringkeeper_engine::wire::opcode::op;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::cli::DumpArgs;

/// Writes the transactions of a log, oldest first. Those before a damage are written before it is
/// reported.
pub fn dump(args: &DumpArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let (dirs, identity) = super::open(&args.directories)?;
    let mut written: io::Result<()> = Ok(());
    let read = log::read_log(&dirs, &identity, args.from, |txn| {
        written = if args.json {
            writeln!(out, "{}", as_json(&txn))
        } else {
            writeln!(out, "{}", as_text(&txn))
        };
        written.as_ref().map(|_| ()).map_err(ToString::to_string)
    });
    if written.is_err() {
        return super::ignore_broken_pipe(written);
    }
    super::ignore_broken_pipe(out.flush())?;
    read?;
    Ok(())
}

fn as_text(txn: &Txn) -> String {
    let Txn { session, cxid, zxid, time, body } = txn;
    let changes: Vec<String> = match body {
        TxnBody::Multi(parts) => parts.iter().map(text_of).collect(),
        single => vec![text_of(single)],
    };
    let multi = if matches!(body, TxnBody::Multi(_)) { "multi " } else { "" };
    let (time, session, changes) = (date(time.0), session.0, changes.join(", "));
    format!("{zxid}  {time}  session 0x{session:x}  cxid {cxid}  {multi}{changes}")
}

fn text_of(body: &TxnBody) -> String {
    let mut text = name(body).to_owned();
    if let Some(path) = path(body) {
        text = format!("{text} {path}");
    }
    match body {
        TxnBody::Create(create) => match create.kind {
            NodeKind::Persistent | NodeKind::Container => text,
            NodeKind::Ephemeral(_) => format!("{text} (ephemeral)"),
            NodeKind::Ttl(ms) => format!("{text} (ttl {ms} ms)"),
        },
        TxnBody::Delete { cause: DeleteCause::Expiry, .. } => format!("{text} (by the server)"),
        TxnBody::SetData { version, .. }
        | TxnBody::Reconfig { version, .. }
        | TxnBody::SetAcl { version, .. } => {
            format!("{text} (version {version})")
        }
        TxnBody::CreateSession { timeout_ms } => format!("{text} (timeout {timeout_ms} ms)"),
        TxnBody::CloseSession { paths } if !paths.is_empty() => {
            format!("{text} (with {})", paths.join(", "))
        }
        TxnBody::Error(code) => format!("{text} {code:?}"),
        TxnBody::Delete { .. }
        | TxnBody::Check { .. }
        | TxnBody::Multi(_)
        | TxnBody::CloseSession { .. } => text,
    }
}

fn as_json(txn: &Txn) -> Value {
    let Txn { session, cxid, zxid, time, body } = txn;
    let mut object = json_of(body);
    object["zxid"] = json!(zxid.to_string());
    object["time"] = json!(date(time.0));
    object["session"] = json!(format!("0x{:x}", session.0));
    object["cxid"] = json!(cxid);
    object
}

fn json_of(body: &TxnBody) -> Value {
    let mut object = json!({ "type": name(body) });
    if let Some(path) = path(body) {
        object["path"] = json!(path);
    }
    match body {
        TxnBody::Create(create) => {
            object["ephemeral"] = json!(matches!(create.kind, NodeKind::Ephemeral(_)));
            object["dataBytes"] = json!(create.data.as_ref().map(|data| data.len()));
        }
        TxnBody::SetData { data, version, .. } | TxnBody::Reconfig { data, version } => {
            object["version"] = json!(version);
            object["dataBytes"] = json!(data.as_ref().map(|data| data.len()));
        }
        TxnBody::SetAcl { version, .. } | TxnBody::Check { version, .. } => {
            object["version"] = json!(version);
        }
        TxnBody::Multi(parts) => object["parts"] = parts.iter().map(json_of).collect(),
        TxnBody::CreateSession { timeout_ms } => object["timeoutMs"] = json!(timeout_ms),
        TxnBody::CloseSession { paths } => {
            object["paths"] = paths.iter().map(|path| json!(&**path)).collect();
        }
        TxnBody::Error(code) => object["error"] = json!(format!("{code:?}")),
        TxnBody::Delete { .. } => {}
    }
    object
}

/// A creation is called the same whatever its reply, and a deletion whatever its cause.
fn name(body: &TxnBody) -> &'static str {
    let code = match body.type_code() {
        op::CREATE2 => op::CREATE,
        op::DELETE_CONTAINER => op::DELETE,
        code => code,
    };
    OpSpec::of(code).name
}

fn path(body: &TxnBody) -> Option<&str> {
    match body {
        TxnBody::Create(create) => Some(&create.path),
        TxnBody::Delete { path, .. }
        | TxnBody::SetData { path, .. }
        | TxnBody::SetAcl { path, .. }
        | TxnBody::Check { path, .. } => Some(path),
        TxnBody::Reconfig { .. } => Some(CONFIG_NODE),
        TxnBody::Multi(_)
        | TxnBody::CreateSession { .. }
        | TxnBody::CloseSession { .. }
        | TxnBody::Error(_) => None,
    }
}

/// `2026-02-11T20:18:00.123Z`.
fn date(wall_ms: i64) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(wall_ms) * 1_000_000)
        .ok()
        .and_then(|date| date.format(format).ok())
        .unwrap_or_else(|| format!("{wall_ms} ms"))
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::txn::{CreateOp, CreateTxn};
    use ringkeeper_engine::{Code, Millis, SessionId, Zxid};

    use super::*;

    fn txn(body: TxnBody) -> Txn {
        let time = Millis(1_795_227_477_622);
        Txn { session: SessionId(0x1f), cxid: 7, zxid: Zxid(0x2a), time, body }
    }

    fn create(path: &str, kind: NodeKind) -> TxnBody {
        TxnBody::Create(CreateTxn {
            op: CreateOp::Create2,
            path: path.into(),
            data: Some(Box::from(*b"abc")),
            acl: [].into(),
            kind,
            parent_cversion: 1,
        })
    }

    #[test]
    fn dump_line_holds_session_operation_and_time() {
        let owned = NodeKind::Ephemeral(SessionId(0x1f));
        assert_eq!(
            as_text(&txn(create("/a", owned))),
            "0x2a  2026-11-21T02:17:57.622Z  session 0x1f  cxid 7  create /a (ephemeral)"
        );
        let delete = TxnBody::Delete { path: "/b".into(), cause: DeleteCause::Client };
        let multi = TxnBody::Multi(vec![create("/a", NodeKind::Persistent), delete]);
        let text = as_text(&txn(multi));
        assert!(text.ends_with("cxid 7  multi create /a, delete /b"), "{text}");
        let text = as_text(&txn(TxnBody::Error(Code::NoNode)));
        assert!(text.ends_with("error NoNode"), "{text}");
    }

    #[test]
    fn dump_json_equals_the_text() {
        let close = TxnBody::CloseSession { paths: vec!["/a".into()] };
        assert_eq!(
            as_json(&txn(close)),
            json!({
                "zxid": "0x2a", "time": "2026-11-21T02:17:57.622Z", "session": "0x1f", "cxid": 7,
                "type": "closeSession", "paths": ["/a"],
            })
        );
    }
}
