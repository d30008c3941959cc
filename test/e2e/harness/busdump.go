package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Access is how a bus is reached.
type Access struct{ URL, User, Password string }

// AccessOf is how the bus of a `kubescribe run` that is running is reached, by its data
// directory.
func AccessOf(dir string) (a Access, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "nats.json"))
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		return a, fmt.Errorf("reading how the bus is reached: %w", err)
	}
	return a, nil
}

// DumpDataDir is DumpBus of the bus of a `kubescribe run` that is running.
func DumpDataDir(ctx context.Context, dir string) (string, error) {
	access, err := AccessOf(dir)
	if err != nil {
		return "", err
	}
	return DumpBus(ctx, access.URL, func(string) bool { return true }, nats.UserInfo(access.User, access.Password))
}

// DumpBus is what a bus holds as anybody reads it: of each stream that is named, buckets among
// them, every message with its subject and headers. On disk it is compressed.
func DumpBus(ctx context.Context, url string, named func(stream string) bool, opts ...nats.Option) (string, error) {
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return "", fmt.Errorf("reading the bus: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return "", fmt.Errorf("reading the bus: %w", err)
	}
	var all strings.Builder
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		if !named(info.Config.Name) {
			continue
		}
		s, err := js.Stream(ctx, info.Config.Name)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", info.Config.Name, err)
		}
		for seq := max(info.State.FirstSeq, 1); seq <= info.State.LastSeq; seq++ {
			m, err := s.GetMsg(ctx, seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue // it was purged
			}
			if err != nil {
				return "", fmt.Errorf("reading %s at %d: %w", info.Config.Name, seq, err)
			}
			fmt.Fprintf(&all, "%s %v\n%s\n", m.Subject, m.Header, m.Data)
		}
	}
	return all.String(), streams.Err()
}
