package bench

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// streams are the states of a bus's streams, buckets among them, by their names.
type streams map[string]jetstream.StreamState

// streamsOf asks for them.
func streamsOf(ctx context.Context, nc *nats.Conn) (streams, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("asking for streams: %w", err)
	}
	all := streams{}
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		all[info.Config.Name] = info.State
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("asking for streams: %w", err)
	}
	return all, nil
}

// since is how many messages the streams have taken since they had a state, and how many
// bytes that is if these are as large as what is still there: a stream does not say how
// large what it has removed was.
func (s streams) since(before streams) (messages, bytes uint64) {
	for name, now := range s {
		taken := now.LastSeq - before[name].LastSeq
		messages += taken
		if now.Msgs > 0 {
			bytes += taken * now.Bytes / now.Msgs
		}
	}
	return messages, bytes
}
