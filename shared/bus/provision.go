package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// MaxPayload is the largest message the install stores, in bytes: the largest
// object an API server takes is about 1.5 MiB. The NATS server's own
// max_payload must not be below it.
const MaxPayload = 4 << 20

// ErrNotProvisioned says that the server holds no install.
var ErrNotProvisioned = errors.New("no kubescribe streams on this NATS server: provision it first")

// Install identifies the streams of one install. It stands in the metadata of
// each of them.
type Install struct {
	// Incarnation changes when the streams are made anew: sequences of another
	// incarnation mean nothing.
	Incarnation string
}

const (
	metaIncarnation = "kubescribe.dev/incarnation"
	metaParts       = "kubescribe.dev/parts"
	metaLive        = "kubescribe.dev/live-shards"
	metaWrite       = "kubescribe.dev/write-shards"
)

func (i Install) metadata() map[string]string {
	return map[string]string{
		metaIncarnation: i.Incarnation,
		metaParts:       strconv.Itoa(subject.Parts),
		metaLive:        strconv.Itoa(subject.LiveShards),
		metaWrite:       strconv.Itoa(subject.WriteShards),
	}
}

// Options are what an install may choose.
type Options struct {
	Replicas int   // 1 or 3
	MaxBytes int64 // of each of EVENTS, LIVE and WRITE; 0 is 1 GiB
}

// streams is what an install consists of, beside its buckets.
func streams(o Options, meta map[string]string) []jetstream.StreamConfig {
	big := o.MaxBytes
	if big == 0 {
		big = 1 << 30
	}
	// Changes, checkpoints and fences: nothing ever leaves them by age. A full
	// stream refuses what is new, so that its writer stalls and nothing is lost.
	log := func(name, subjects string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Subjects: []string{subjects}, Metadata: meta, Replicas: o.Replicas,
			Storage: jetstream.FileStorage, Compression: jetstream.S2Compression,
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
			MaxBytes: big, MaxMsgSize: MaxPayload, Duplicates: 10 * time.Minute,
			AllowRollup: true, AllowDirect: true,
		}
	}
	// One message a subject: saying it twice is saying it once.
	once := func(name, subjects string, bytes int64) jetstream.StreamConfig {
		c := log(name, subjects)
		c.MaxBytes, c.MaxMsgsPerSubject, c.DiscardNewPerSubject, c.AllowRollup = bytes, 1, true, false
		return c
	}
	live, write := log(subject.Live, subject.AllLive), log(subject.Write, subject.AllWrite)
	live.AllowAtomicPublish, write.AllowAtomicPublish = true, true
	snap := once(subject.Snap, subject.AllSnap, 512<<20)
	snap.MaxAge = 24 * time.Hour
	ctl := once(subject.Ctl, subject.AllCtl, 64<<20)
	ctl.Retention, ctl.AllowDirect = jetstream.WorkQueuePolicy, false
	return []jetstream.StreamConfig{
		log(subject.Events, subject.AllEvents), live, write, snap, ctl,
		once(subject.DLQ, subject.AllDLQ, 64<<20),
	}
}

// buckets is the history that each key-value bucket keeps.
var buckets = map[string]uint8{
	subject.BucketDestination: 1,
	subject.BucketCredential:  1,
	subject.BucketPhase:       10,
	subject.BucketLease:       1,
	subject.BucketCursor:      1,
	subject.BucketStatus:      1,
}

// Provision makes the install's streams and buckets where there are none, and
// brings the settings of those that are there up to date. It may be called
// again at any time. It never makes a missing stream of an install that exists:
// what the others remember of it would be wrong, so it says so instead.
func (b *Bus) Provision(ctx context.Context, o Options) error {
	install, found, err := b.installed(ctx)
	if err != nil {
		return err
	}
	if found == 0 {
		// A crash from here on leaves fewer streams than an install has, all of
		// them empty: the next call begins again (see installed).
		install = Install{Incarnation: nuid.Next()}
	}
	for _, c := range streams(o, install.metadata()) {
		if _, err := b.js.CreateOrUpdateStream(ctx, c); err != nil {
			return fmt.Errorf("provisioning stream %s: %w", c.Name, err)
		}
	}
	for name, history := range buckets {
		_, err := b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: name, History: history, Replicas: o.Replicas, Storage: jetstream.FileStorage, Metadata: install.metadata(),
		})
		if err != nil {
			return fmt.Errorf("provisioning bucket %s: %w", name, err)
		}
	}
	return b.Verify(ctx)
}

// Verify checks that the server holds a whole install with this program's
// numbers of parts and shards, and remembers it. It changes nothing.
func (b *Bus) Verify(ctx context.Context) error {
	install, found, err := b.installed(ctx)
	if err != nil {
		return err
	}
	if found == 0 {
		return ErrNotProvisioned
	}
	for name := range buckets {
		_, err := b.js.KeyValue(ctx, name)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			return fmt.Errorf("bucket %s is missing, as it is in an install of an older version: provision it again", name)
		}
		if err != nil {
			return fmt.Errorf("opening bucket %s: %w", name, err)
		}
	}
	b.Install = install
	return nil
}

// installed reads the install from the streams' metadata. The number found is 0
// when there is none or when a first provisioning was cut short before anything
// was stored; then making the rest is safe.
func (b *Bus) installed(ctx context.Context) (Install, int, error) {
	var install Install
	var missing []string
	found, used := 0, false
	for _, c := range streams(Options{Replicas: 1}, nil) {
		s, err := b.js.Stream(ctx, c.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			missing = append(missing, c.Name)
			continue
		}
		if err != nil {
			return Install{}, 0, fmt.Errorf("reading stream %s: %w", c.Name, err)
		}
		info := s.CachedInfo()
		got := Install{Incarnation: info.Config.Metadata[metaIncarnation]}
		if got.Incarnation == "" {
			return Install{}, 0, fault.As(fault.Terminate, fmt.Errorf("stream %s was not made by kubescribe: use another NATS account", c.Name))
		}
		if found > 0 && got != install {
			return Install{}, 0, fault.As(fault.Terminate, fmt.Errorf(
				"stream %s belongs to install %s, the others to %s: two installs share this NATS account; give each its own", c.Name, got.Incarnation, install.Incarnation))
		}
		install = got
		if err := sameShards(c.Name, info.Config.Metadata, install.metadata()); err != nil {
			return Install{}, 0, err
		}
		found++
		used = used || info.State.LastSeq > 0
	}
	if found == 0 || len(missing) == 0 {
		return install, found, nil
	}
	if !used {
		return Install{}, 0, nil
	}
	return Install{}, 0, fault.As(fault.Terminate, fmt.Errorf(
		"streams %v of install %s are gone while others remain: restore them, or remove the rest and start afresh with --adopt (Git keeps what was written)",
		missing, install.Incarnation))
}

func sameShards(stream string, got, want map[string]string) error {
	for _, k := range []string{metaParts, metaLive, metaWrite} {
		if got[k] != want[k] {
			return fault.As(fault.Terminate, fmt.Errorf("stream %s was made with %s=%s, this program has %s: run the version that made it", stream, k, got[k], want[k]))
		}
	}
	return nil
}
