//! gRPC calls whose messages are any bytes, for what no generated client would send.

use prost::bytes::{Buf, BufMut};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    metadata::MetadataMap,
    transport::Channel,
};

/// Calls `path` (`/package.Service/Method`) with `messages`, as they are, and returns the bytes of the one answer.
///
/// # Errors
/// What the server answered, or that it could not be reached.
pub async fn call(
    channel: Channel,
    path: &str,
    metadata: MetadataMap,
    messages: Vec<Vec<u8>>,
) -> Result<Vec<u8>, Status> {
    let (mut client, request, path) = ready(channel, path, metadata, messages).await?;
    let answer = client.client_streaming(request, path, AsItIs).await?;
    Ok(answer.into_inner())
}

/// The same of a call that is answered with a stream, of which it returns the first message and leaves the rest.
///
/// # Errors
/// What the server answered instead, or that it could not be reached.
pub async fn first(
    channel: Channel,
    path: &str,
    metadata: MetadataMap,
    messages: Vec<Vec<u8>>,
) -> Result<Vec<u8>, Status> {
    let (mut client, request, path) = ready(channel, path, metadata, messages).await?;
    let mut answers = client.streaming(request, path, AsItIs).await?.into_inner();
    answers.message().await?.ok_or_else(|| Status::internal("a stream without a message"))
}

type Messages = tokio_stream::Iter<std::vec::IntoIter<Vec<u8>>>;

async fn ready(
    channel: Channel,
    path: &str,
    metadata: MetadataMap,
    messages: Vec<Vec<u8>>,
) -> Result<(Grpc<Channel>, Request<Messages>, PathAndQuery), Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::try_from(path).map_err(|error| Status::internal(error.to_string()))?;
    let mut request = Request::new(tokio_stream::iter(messages));
    *request.metadata_mut() = metadata;
    Ok((client, request, path))
}

/// Bytes are the message.
#[derive(Clone, Copy, Debug)]
struct AsItIs;

impl Codec for AsItIs {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for AsItIs {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for AsItIs {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}
