package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// answerWait bounds how long one request to the server may go unanswered.
const answerWait = 5 * time.Second

// impatient is a context under which each request of the library's is given up after answerWait, whatever
// time its caller has left. By itself the library bounds only what has no deadline of its own, so
// this one says that it has none, and ends with the other all the same. Without it an answer that was lost, as
// where a server is killed, would be waited for in the middle of a push, or of a comparison, until that is given up: minutes.
type impatient struct{ context.Context }

// Deadline is none.
func (impatient) Deadline() (deadline time.Time, ok bool) { return deadline, false }

// A server is asked to say something every pingEvery, and left for another one where it has not
// done so pingsOut times: one that has lost its power, or its cable, ends no connection, and TCP
// takes a quarter of an hour to give it up, the library by its own settings six minutes.
const (
	pingEvery = 5 * time.Second
	pingsOut  = 2
)

// Config says how to reach the NATS server.
type Config struct {
	URL       string                     // ignored with InProcess
	Creds     string                     // file of user credentials, "" for none
	User      string                     // with Password, "" for none
	Password  string                     //nolint:gosec // a field's name, not a secret
	InProcess nats.InProcessConnProvider // an embedded server
	Name      string                     // of the connection, as the server lists it
	Log       *slog.Logger
}

// Bus is a connection to an install's streams. It is safe for concurrent use.
type Bus struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	log     *slog.Logger
	Install Install
	FullFor time.Duration // how long a series waits for room in KS_SNAP: two minutes
	gauges  sync.Map      // *gauge by stream
	ended   sync.Map      // end by stream, for which ExtentPast has waited in vain
}

// CheckURL refuses what is no server's URL, or list of them with commas between,
// and one that holds credentials, without repeating it.
func CheckURL(raw string) error {
	if strings.Contains(raw, "@") {
		return errors.New("the NATS URL holds credentials, which would end up in logs: put them into a credentials file")
	}
	for one := range strings.SplitSeq(raw, ",") {
		if u, err := url.Parse(strings.TrimSpace(one)); err != nil || u.Host == "" {
			return errors.New("the NATS URL is not one: write it like nats://127.0.0.1:4222, and several with commas between")
		}
	}
	return nil
}

// CheckCreds refuses a file that holds no user credentials, as nsc and nk write
// them: a JWT and the seed of its key. "" stands for none.
func CheckCreds(file string) error {
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading NATS credentials: %w", err)
	}
	jwt, jwtErr := nkeys.ParseDecoratedJWT(b)
	key, seedErr := nkeys.ParseDecoratedUserNKey(b)
	if jwtErr != nil || seedErr != nil || strings.Count(jwt, ".") != 2 {
		return fmt.Errorf("the file %s holds no NATS user credentials (a JWT and a seed, as nsc generate creds writes them)", file)
	}
	key.Wipe()
	return nil
}

// Connect dials the server and goes on reconnecting for as long as the Bus
// lives. It returns at once when the configuration is wrong, and waits for a
// server that is not there yet until ctx ends. Install is not set until
// [Bus.Verify] or [Bus.Provision] was called.
func Connect(ctx context.Context, cfg Config) (*Bus, error) {
	log := cfg.Log
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a server that restarts may not know its accounts for a moment
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectJitter(200*time.Millisecond, time.Second),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(pingsOut),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("bus connection lost, reconnecting", "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("bus connection is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("bus reported an error", "err", err)
		}),
	}
	switch {
	case cfg.InProcess != nil:
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	default:
		if err := CheckURL(cfg.URL); err != nil {
			return nil, fault.As(fault.Terminate, err)
		}
	}
	if err := CheckCreds(cfg.Creds); err != nil {
		return nil, fault.As(fault.Terminate, err)
	}
	if cfg.Creds != "" {
		opts = append(opts, nats.UserCredentials(cfg.Creds))
	}
	if cfg.User != "" {
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	}
	var backoff fault.Backoff
	for {
		nc, err := nats.Connect(cfg.URL, opts...)
		if err == nil {
			return newBus(nc, log)
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, fault.As(fault.Terminate, fmt.Errorf("connecting to NATS at %s: the server refused the credentials: %w", cfg.URL, err))
		}
		if werr := fault.Wait(ctx, backoff.Next()); werr != nil {
			return nil, fmt.Errorf("connecting to NATS at %s: %w (%w)", cfg.URL, err, werr)
		}
		log.Warn("NATS is not reachable, retrying", "url", cfg.URL, "err", err)
	}
}

func newBus(nc *nats.Conn, log *slog.Logger) (*Bus, error) {
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(answerWait))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return &Bus{nc: nc, js: js, log: log, FullFor: fullFor}, nil
}

// publish stores a message. An answer that does not come is waited for no longer than
// answerWait, whatever ctx allows.
func (b *Bus) publish(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return b.js.PublishMsg(ctx, m, opts...)
}

// Close flushes what is on its way out and disconnects.
func (b *Bus) Close() {
	if err := b.nc.FlushTimeout(time.Second); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		b.log.Warn("closing the bus connection", "err", err)
	}
	b.nc.Close()
}

// Ready is nil while the server can be reached.
func (b *Bus) Ready() error {
	if s := b.nc.Status(); s != nats.CONNECTED {
		return fmt.Errorf("bus connection is %s", s)
	}
	return nil
}

// Message is a stored message.
type Message struct {
	Subject string
	Seq     uint64
	Time    time.Time // when the server stored it
	Header  event.Header
	Data    []byte
	Pending uint64 // how many more the server had for this reader just then
}

// ID is what the publisher called the message: Ks-Id, else Nats-Msg-Id.
func (m Message) ID() string {
	for _, h := range []string{event.HeaderID, nats.MsgIdHdr} {
		if v := m.Header[h]; len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// Output is a message to be published.
type Output struct {
	Subject string
	Header  event.Header
	Data    []byte
}

func (o Output) msg() *nats.Msg {
	return &nats.Msg{Subject: o.Subject, Header: nats.Header(o.Header), Data: o.Data}
}
