//! Lines for the audit log, and what waits while it is behind.

use super::*;
use crate::Code;
use crate::audit::{AuditLine, Ending, Operation};
use crate::op::OpResult;

const SET: Sent<'_> = Sent::SetData { path: "/", data: None, version: -1 };
const GET: Sent<'_> = Sent::GetData { path: "/", watch: false };

fn audited_shard() -> Shard {
    Shard::new(0, Arc::new(ShardSettings { audits: true, ..settings() }))
}

fn set() -> Outcome {
    Outcome::Result(OpResult::Set(Box::default()))
}

#[test]
fn an_answered_write_has_one_line_at_the_time_of_the_answer() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = audited_shard();
    let id = established(&mut shard, at(&db, 0));
    for (outcome, ending) in [
        (set(), Ending::Success),
        (Outcome::Refused(Code::SystemError), Ending::Failure),
        (Outcome::Moved, Ending::Failure),
    ] {
        send(&mut shard, id, SET, at(&db, 1));
        assert!(shard.outputs.audit_lines.is_empty(), "nothing has come of it yet");
        answer(&mut shard, id, outcome, at(&db, 5));
        let line = shard.outputs.audit_lines.pop().expect("a line");
        assert_eq!((line.operation, line.time), (Operation::SetData, Millis(1_005)));
        assert_eq!((line.session, line.path.as_deref()), (Some(SessionId(7)), Some("/")));
        assert_eq!(line.ending, ending);
        assert!(shard.outputs.audit_lines.is_empty());
    }
    let id = established(&mut shard, at(&db, 0));
    send(&mut shard, id, GET, at(&db, 6));
    assert!(shard.outputs.audit_lines.is_empty(), "reads have none");
}

#[test]
fn a_write_has_its_line_where_its_client_is_gone() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = audited_shard();
    let id = established(&mut shard, at(&db, 0));
    send(&mut shard, id, SET, at(&db, 1));
    shard.lost(id);
    answer(&mut shard, id, set(), at(&db, 2));
    assert_eq!(shard.outputs.audit_lines.len(), 1);
    assert!(shard.conn(id).is_none(), "its id is free");
}

#[test]
fn while_the_audit_log_is_behind_writes_wait_and_reads_and_sessions_go_on() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = audited_shard();
    let (writer, reader) =
        (established(&mut shard, at(&db, 0)), established(&mut shard, at(&db, 0)));
    let line = AuditLine::of_server(Operation::Create, Millis(0), Ending::Success);
    (0..limits::AUDIT_LINES_MAX).for_each(|_| shard.outputs.audit_lines.push(line.clone()));
    send(&mut shard, writer, SET, at(&db, 1));
    send(&mut shard, writer, Sent::Ping, at(&db, 2_000));
    send(&mut shard, reader, GET, at(&db, 2_000));
    shard.resume_stalled(at(&db, 2_000));
    let conn = shard.conn(writer).expect("open");
    let heard = conn.attached.as_ref().expect("its session").last_heard.get();
    assert_eq!((heard, conn.out.len(), shard.outputs.requests.len()), (Millis(2_000), 0, 0));
    assert!(!shard.conn(reader).expect("open").out.is_empty(), "a read is answered");
    assert!(!shard.can_resume() && !shard.wants_input(writer) && shard.wants_input(reader));
    shard.outputs.audit_lines.pop();
    assert!(shard.can_resume());
    shard.resume_stalled(at(&db, 2_001));
    assert_eq!(shard.outputs.requests.len(), 1, "the write goes on");
    answer(&mut shard, writer, set(), at(&db, 2_002));
    assert_eq!(shard.outputs.audit_lines.len(), limits::AUDIT_LINES_MAX);
    assert_eq!(shard.conn(writer).expect("open").stats.replies, 2, "the write and the ping");
}
