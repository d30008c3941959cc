package cli

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/services/kubescribe/internal/recorded"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const replayLong = `Show changes as they were recorded on the bus, or write them into a repository of their
own. It reads with a consumer of its own, and changes nothing on the bus or on a remote.

What a destination was sent is read from KS_WRITE, with the results of its runs; without
--destination, what the watchers have published is read from KS_EVENTS. --seq counts in
that stream. What retention has removed is not there any more.

With --into, the changes of a destination go through a stage into a new bare repository:
  git-writer  (the default) what was recorded in KS_WRITE, into commits
  stream      what was recorded in KS_LIVE, decided about again, and what is forwarded
              as with git-writer; --seq counts in KS_LIVE
The commits have the dates and positions of the live ones, and are not signed. The
repository begins empty: files of before the range are missing. What is sealed is left
out without the git-writer's key.

`

// replay is one call of the command.
type replay struct {
	reach
	selection
	span

	output, into, stage, identity string
	env                           Env
	bus                           *bus.Bus
	registered                    bus.Registered // if a destination is named
}

func replayCommand(env Env) *cobra.Command {
	r := replay{env: env}
	var seq, since string
	cmd := &cobra.Command{
		Use: "replay", Short: "Show recorded changes, or write them into a repository of their own",
		Long: replayLong + reachLong, Args: noArgs,
		Example: "  kubescribe replay --resource apps/deployments -n shop --name web --since 2h -o diff\n" +
			"  kubescribe replay --destination live --seq 100..200\n" +
			"  kubescribe replay --destination live --into /tmp/again.git --stage stream",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if r.span, err = parseSpan(seq, since, time.Now()); err != nil {
				return err
			}
			if err := r.check(cmd); err != nil {
				return err
			}
			return r.run(cmd.Context())
		},
	}
	r.reach.flags(cmd)
	r.selection.flags(cmd)
	cmd.Flags().StringVar(&seq, "seq", "", "`range` of sequences, as in 100..200, 100.. or ..200")
	cmd.Flags().StringVar(&since, "since", "", "`time` that what is read was stored at or later: how long ago, or RFC 3339")
	cmd.Flags().StringVarP(&r.output, "output", "o", "yaml", "`format`: yaml, diff (from the version before) or json")
	cmd.Flags().StringVar(&r.into, "into", "", "`directory`, empty or new, for a bare repository that the changes are written into")
	cmd.Flags().StringVar(&r.stage, "stage", stageGitWriter, "`stage` that the changes go through into it: stream or git-writer")
	cmd.Flags().StringVar(&r.identity, "credentials-identity", env.Getenv("KUBESCRIBE_CREDENTIALS_IDENTITY_FILE"), "`file` with the private key that the watcher seals to, for --into; else $KUBESCRIBE_CREDENTIALS_IDENTITY_FILE, or the data directory's")
	return cmd
}

// check refuses what cannot be meant.
func (r *replay) check(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	switch {
	case r.output != "yaml" && r.output != "diff" && r.output != "json":
		return usage("--output %s: use yaml, diff or json", r.output)
	case r.stage != stageGitWriter && r.stage != stageStream:
		return usage("--stage %s: use %s or %s", r.stage, stageStream, stageGitWriter)
	case r.into == "" && (given("stage") || given("credentials-identity")):
		return usage("--stage and --credentials-identity go with --into")
	case r.into != "" && given("output"):
		return usage("--into and --output exclude each other: git shows what was written")
	case r.into != "" && r.destination == "":
		return usage("--into needs --destination: whose changes are to be written?")
	}
	if err := r.selection.check(); err != nil {
		return err
	}
	return r.reach.check()
}

func (r *replay) run(ctx context.Context) (err error) {
	if r.bus, err = r.open(ctx, r.env); err != nil {
		return err
	}
	defer r.bus.Close()
	if r.destination != "" {
		all, err := destinations(ctx, r.bus)
		if err != nil {
			return err
		}
		if r.key, err = resolve(r.destination, inOrder(all)); err != nil {
			return err
		}
		r.registered = all[r.key]
	}
	if r.into != "" {
		return r.write(ctx)
	}
	return r.show(ctx)
}

// show prints changes.
func (r *replay) show(ctx context.Context) error {
	stream, filter := subject.Events, subject.EventsOf(r.group, r.resource, r.namespace)
	if r.destination != "" {
		stream, filter = subject.Write, subject.WriteDestination(r.key)
	}
	printer := map[string]recorded.Printer{
		"yaml": recorded.YAML(r.env.Stdout), "diff": recorded.Diff(r.env.Stdout), "json": recorded.JSON(r.env.Stdout),
	}[r.output]
	var seen seen
	for m, err := range r.read(ctx, stream, filter) {
		if err != nil {
			return err
		}
		e := recorded.Read(stream, m)
		if !e.Change() || !r.picks(e) {
			continue
		}
		seen.add(m)
		if err := printer(e); err != nil {
			return err
		}
	}
	return r.tell(ctx, stream, seen)
}

// read reads a stream in the range.
func (r *replay) read(ctx context.Context, stream, filter string) iter.Seq2[bus.Message, error] {
	return func(yield func(bus.Message, error) bool) {
		from, err := r.begin(ctx, stream)
		if err != nil {
			yield(bus.Message{}, err)
			return
		}
		r.bus.Range(ctx, stream, filter, from, r.to)(yield)
	}
}

// begin is where the range begins in a stream.
func (r *replay) begin(ctx context.Context, stream string) (uint64, error) {
	if r.since.IsZero() {
		return r.from, nil
	}
	return r.bus.SeqSince(ctx, stream, r.since)
}

// seen is which messages were.
type seen struct {
	n           int
	first, last bus.Message
}

func (s *seen) add(m bus.Message) {
	if s.n++; s.n == 1 {
		s.first = m
	}
	s.last = m
}

// tell says on standard error what was seen of a stream, and what of that is left to be
// seen at all.
func (r *replay) tell(ctx context.Context, stream string, s seen) error {
	e, err := r.bus.Extent(ctx, stream)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(r.env.Stderr, whatWasSeen(stream, s, e))
	return err
}

// whatWasSeen is that for a person.
func whatWasSeen(stream string, s seen, e bus.Extent) string {
	at := func(m bus.Message) string { return fmt.Sprintf("%d (%s)", m.Seq, m.Time.UTC().Format(time.RFC3339)) }
	text := "nothing of the kind is in " + stream
	switch {
	case s.n == 1:
		text = "1 change, " + at(s.first) + " of " + stream
	case s.n > 1:
		text = fmt.Sprintf("%d changes, %s to %s of %s", s.n, at(s.first), at(s.last), stream)
	}
	switch e.Messages {
	case 0:
		text += ", which holds nothing"
	case e.Last:
		text += fmt.Sprintf(", which holds everything since %s", e.Oldest.Format(time.RFC3339))
	default:
		text += fmt.Sprintf(", which holds %d of the %d messages it ever had, the first one %d of %s; the others were removed", e.Messages, e.Last, e.First, e.Oldest.Format(time.RFC3339))
	}
	return text + "\n"
}
