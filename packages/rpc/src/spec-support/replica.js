// A stock grpc-js replica in its own process, so that a spec can kill it: answers each call after 200 ms and writes one
// line when it listens and one per call that it took.
const { Server, ServerCredentials } = require('@grpc/grpc-js');
const { expertV1 } = require('@dmoerm/protos');

const server = new Server({ 'grpc.max_receive_message_length': -1 });
server.addService(expertV1.ExpertServiceService, {
  evaluate: (call, reply) => {
    console.log('call');
    setTimeout(() => reply(null, expertV1.EvaluateResponse.create()), 200);
  },
});
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
process.stdin.resume().on('end', () => process.exit());
