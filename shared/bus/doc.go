// Package bus is kubescribe's use of NATS JetStream: provisioning, and the
// primitives on which "nothing lost, nothing twice" rests.
//
//   - Fenced publish, [Lane]: one owner at a time writes a lane of KS_EVENTS, in
//     order; one that lost its lane is refused by the server.
//   - Transactional hop, [Ledger] and [Hop]: consuming an input and producing
//     its outputs are one message, or one atomic batch, in the output's stream.
//
// The third, Git as the ledger, belongs to the git-writer. Leases would only
// save work; none of the three rests on them, nor on a window of message IDs.
//
// What decides is read from a stream's leader ([Bus.LastFor], [Bus.MessageAt]):
// a direct get may be answered by a follower that lags.
package bus
