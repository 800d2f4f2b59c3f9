//! What every call has in common: who asks, whether they may, until when, in which trace; then on to the platform of the caller's cell.

use std::{net::IpAddr, sync::Arc};

use common::{
    clock::Clock,
    crash_point,
    deadline::Deadline,
    exchange::NotAsked,
    fault::{Fault, Violation},
    rpc_server::{Called, Pace, Peer, code_name},
    trace::{Span, SpanKind, TraceParent},
};
use proto::{
    payments::WatchPaymentsRequest,
    platform::{Command, Signature, command::Operation, reply},
};
use tonic::{
    Code, Request, Response, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tracing::Instrument;

use crate::{
    caller::{Action, Caller, Participant},
    participant::Participants,
    platform_link::PlatformLink,
    quota::Quotas,
    signature::{self, Content, Refused},
    watch_link::{Watch, Watches},
};

/// The metadata of an answer that an earlier request was given already.
const REPLAYED: &str = "idempotent-replayed";

/// Carries checked requests to the platforms. Clones share the streams.
#[derive(Clone, Debug)]
pub struct Front {
    participants: Arc<Participants>,
    quotas: Arc<Quotas>,
    /// One for each cell, in their order.
    platforms: Arc<[PlatformLink]>,
    watches: Watches,
    clock: Clock,
}

/// A call that is to be carried out.
struct Call<'a> {
    caller: &'a Caller,
    deadline: Deadline,
    trace: TraceParent,
    signature: Option<Signature>,
}

impl Front {
    /// A front for these participants at these rates, before the platforms of each cell; signatures are judged by the clock.
    pub fn new(
        participants: Arc<Participants>,
        quotas: Arc<Quotas>,
        platforms: Arc<[PlatformLink]>,
        watches: Watches,
        clock: Clock,
    ) -> Self {
        Self { participants, quotas, platforms, watches, clock }
    }

    /// Carries one request: `check` finds what is wrong with it, `operation` makes it a command, and `response` takes its
    /// response out of the reply.
    ///
    /// # Errors
    /// What the caller is to hear when what was asked did not come to be.
    pub async fn carry<Q, A>(
        &self,
        request: Request<Q>,
        action: Action,
        check: impl FnOnce(&Q) -> Result<(), Vec<Violation>>,
        operation: impl FnOnce(Q) -> Operation,
        response: impl FnOnce(reply::Result) -> Option<A>,
    ) -> Result<Response<A>, Status> {
        let deadline = Deadline::of_request(&request);
        let caller = self.admit(request.metadata(), Origin::of(&request), action).await?;
        let signature = self.signature(&request, &caller, action)?;
        check(request.get_ref()).map_err(Fault::invalid)?;
        if deadline.is_too_short() {
            return Err(Fault::deadline_too_short().into());
        }
        let trace = request.metadata().get("traceparent").and_then(|value| value.to_str().ok());
        let mut span = Span::begin(trace.unwrap_or_default(), "call", SpanKind::Server);
        if span.is_recording() {
            let method = request.extensions().get::<Called>().map(Called::method).unwrap_or_default();
            span.rename(|| method.clone());
            span.set("rpc.system.name", "grpc");
            span.set("rpc.method", method);
        }
        let trace_id = span.context().trace_id();
        let Participant { cell, name } = &caller.participant;
        let logged = tracing::info_span!("call", %trace_id, participant = name, %cell);
        let operation = operation(request.into_inner());
        let call = Call { caller: &caller, deadline, trace: span.context(), signature };
        let answer = self.ask(call, operation, response).instrument(logged).await;
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        span.set("rpc.response.status_code", code_name(code));
        if is_our_failure(code) {
            span.fail(code_name(code));
        }
        answer
    }

    /// Begins to tell who asks of what happens.
    ///
    /// # Errors
    /// What the caller is to hear when there is nothing to be told.
    pub async fn watch(&self, request: Request<WatchPaymentsRequest>) -> Result<Response<Watch>, Status> {
        let caller = self.admit(request.metadata(), Origin::of(&request), Action::Read).await?;
        self.signature(&request, &caller, Action::Read)?;
        let (credential, _, request) = request.into_parts();
        let Participant { cell, name } = &caller.participant;
        tracing::info!(participant = name, %cell, "a watch begins");
        Ok(Response::new(self.watches.begin(&caller.participant, credential, request).await?))
    }

    /// Who asks with this metadata from there, if they may do this. Whose calls come too often is read more slowly, and has those that it
    /// may make carried evenly.
    ///
    /// # Errors
    /// When they may not, or ask too often.
    pub async fn admit(
        &self,
        metadata: &MetadataMap,
        origin: Origin<'_>,
        action: Action,
    ) -> Result<Arc<Caller>, Fault> {
        let may_try = || self.quotas.may_try(origin.address);
        let identified = self.participants.identify(metadata, may_try).await;
        let caller = identified.map_err(|why| {
            origin.note(None, true);
            self.quotas.turn_away(why, origin.address)
        })?;
        let within_quota = self.quotas.admit(&caller.participant);
        origin.note(Some(&caller.participant), within_quota.is_err());
        let turn = within_quota?;
        if !turn.is_zero() {
            tokio::time::sleep(turn).await;
        }
        match caller.may(action, self.participants.is_house(&caller)) {
            true => Ok(caller),
            false => Err(Fault::permission_denied(format!("no role of this credential allows {action:?}"))),
        }
    }

    /// Whether the caller's participant is the house of its cell.
    pub fn is_house(&self, caller: &Caller) -> bool {
        self.participants.is_house(caller)
    }

    /// The signature of a call that changes something, if it has one. One that does not hold is refused in every call, and so is a call
    /// without one that must have it.
    fn signature<Q>(
        &self,
        request: &Request<Q>,
        caller: &Caller,
        action: Action,
    ) -> Result<Option<Signature>, Fault> {
        let Some(content) = request.extensions().get::<Content>() else {
            let may_be_unsigned = caller.verification_key.is_none() || !action.changes();
            return if may_be_unsigned { Ok(None) } else { Err(Refused::Missing.into()) };
        };
        let key = caller.verification_key.as_ref().ok_or(Refused::NoKey)?;
        let nonce = signature::verify(request.metadata().as_ref(), content, key, self.clock.now())?;
        let verification_key = key.as_bytes().to_vec();
        Ok(action.changes().then_some(Signature { verification_key, nonce }))
    }

    async fn ask<A>(
        &self,
        Call { caller, deadline, trace, signature }: Call<'_>,
        operation: Operation,
        response: impl FnOnce(reply::Result) -> Option<A>,
    ) -> Result<Response<A>, Status> {
        let Participant { cell, name } = &caller.participant;
        let platform = self.platforms.get(cell.place()).ok_or_else(Fault::internal)?;
        let command = Command {
            correlation_id: 0,
            participant: name.clone(),
            budget_ms: u32::try_from(deadline.remaining().as_millis()).unwrap_or(u32::MAX),
            traceparent: trace.to_string(),
            actor: caller.credential.clone(),
            is_house: self.participants.is_house(caller),
            signature,
            operation: Some(operation),
        };
        crash_point::here("gateway.before_platform");
        let answer = platform.ask(command).map_err(|not_asked| match not_asked {
            NotAsked::Full => Fault::overloaded("too many requests are waiting; nothing was begun"),
            NotAsked::Disconnected => Fault::unavailable(
                "PLATFORM_UNAVAILABLE",
                "the platform is not there; nothing was begun: send the same request again",
            ),
        })?;
        let answered = tokio::time::timeout_at(deadline.answer_by(), answer).await;
        let reply = answered.map_err(|_| Fault::deadline_exceeded())?.map_err(|_lost| {
            let message =
                "the platform went away meanwhile: send the same request again to learn what came of it";
            Fault::unavailable("PLATFORM_LOST", message)
        })?;
        crash_point::here("gateway.after_platform");
        let replayed = reply.idempotent_replayed;
        let answer = match reply.result {
            Some(reply::Result::Fault(fault)) => {
                tracing::info!(code = fault.code, message = fault.message, "refused");
                return Err(fault.into());
            }
            Some(result) => response(result).ok_or_else(Fault::internal)?,
            None => return Err(Fault::internal().into()),
        };
        let mut response = Response::new(answer);
        if replayed {
            response.metadata_mut().insert(REPLAYED, MetadataValue::from_static("true"));
        }
        tracing::info!(replayed, "answered");
        Ok(response)
    }
}

/// From where a call came.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// As the connection says.
    address: Option<IpAddr>,
    /// How fast that is read.
    pace: Option<&'a Pace>,
}

impl<'a> Origin<'a> {
    fn of<Q>(request: &'a Request<Q>) -> Self {
        let peer = request.extensions().get::<Peer>();
        Self { address: peer.map(|peer| peer.address.ip()), pace: peer.map(|peer| &*peer.pace) }
    }

    /// Somebody at this address who makes calls in another way.
    pub fn at(address: Option<IpAddr>) -> Self {
        Self { address, pace: None }
    }

    /// Has the pace take note of a call by a participant, or by nobody who is known.
    fn note(&self, caller: Option<&Participant>, is_refused: bool) {
        if let Some(pace) = self.pace {
            pace.note(&caller, is_refused);
        }
    }
}

/// Whether a call failed by us, rather than by what was asked (OpenTelemetry's semantic conventions for gRPC servers).
fn is_our_failure(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

/// Whether an earlier request was given this answer already.
pub fn is_replayed<A>(response: &Response<A>) -> bool {
    response.metadata().contains_key(REPLAYED)
}
