package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// shown is what the bus holds about one destination, as it stands there.
type shown struct {
	Destination event.Destination  `json:"destination"`
	Phase       *event.PhaseRecord `json:"phase,omitempty"`
	Status      *event.Status      `json:"status,omitempty"`
	Lag         *event.Lag         `json:"lag,omitempty"` // as of half a minute ago
	Letters     int                `json:"deadLetters,omitempty"`
}

func getCommand(env Env) *cobra.Command {
	var r reach
	var output string
	cmd := &cobra.Command{
		Use: "get [DESTINATION]", Short: "Show destinations and how they stand",
		Long: "Show every destination, or one: its phase and newest run, its last commit, how many\n" +
			"changes are on their way to the remote (as of half a minute ago) and how many of them are\n" +
			"held back, what waits for a person, what keeps it, and how many dead letters it has (kubescribe\n" +
			"dlq). DESTINATION is its name, as much of cluster/namespace/name as says which.\n\n" + reachLong,
		Example: "  kubescribe get\n  kubescribe get live\n  kubescribe get -o json",
		Args: func(cmd *cobra.Command, args []string) error {
			if args = names(args); len(args) > 1 {
				return usage("unexpected argument %q; see %s --help", args[1], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if err := r.check(); err != nil {
				return err
			}
			b, err := r.open(cmd.Context(), env)
			if err != nil {
				return err
			}
			defer b.Close()
			all, err := look(cmd.Context(), b, names(args)...)
			if err != nil {
				return err
			}
			if output == "json" {
				return asJSON(env.Stdout, all)
			}
			if len(all) == 0 {
				_, err := fmt.Fprintln(env.Stderr, "no destination is registered")
				return err
			}
			if err := pressed(cmd.Context(), b, env.Stderr); err != nil {
				return err
			}
			return table(env.Stdout, time.Now(), all)
		},
	}
	r.flags(cmd)
	outputFlag(cmd, &output)
	return cmd
}

func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "table", "`format`: table or json")
}

func checkOutput(output string) error {
	if output != "table" && output != "json" {
		return usage("--output %s: use table or json", output)
	}
	return nil
}

// names are the arguments that name a destination: kubectl's users name the kind first.
func names(args []string) []string {
	if len(args) > 0 && args[0] == "destinations" {
		return args[1:]
	}
	return args
}

// look reads how destinations stand: those that are meant, or all, sorted by name.
func look(ctx context.Context, b *bus.Bus, meant ...string) ([]shown, error) {
	registered, err := destinations(ctx, b)
	if err != nil {
		return nil, err
	}
	keys := inOrder(registered)
	for _, name := range meant {
		k, err := resolve(name, keys)
		if err != nil {
			return nil, err
		}
		keys = []event.DestinationKey{k}
	}
	phases, err := everything[event.PhaseRecord](ctx, b, subject.BucketPhase)
	if err != nil {
		return nil, err
	}
	statuses, err := everything[event.Status](ctx, b, subject.BucketStatus)
	if err != nil {
		return nil, err
	}
	lags, err := everything[event.Lag](ctx, b, subject.BucketLag)
	if err != nil {
		return nil, err
	}
	letters := map[event.DestinationKey]int{}
	for l, err := range b.Letters(ctx) {
		if err != nil {
			return nil, err
		}
		for _, k := range readLetter(l).whose() {
			letters[k]++
		}
	}
	all := []shown{}
	for _, k := range keys {
		s := shown{Destination: registered[k].Destination, Letters: letters[k]}
		if e, ok := phases[subject.DestinationToken(k)]; ok {
			s.Phase = &e.Record
		}
		if e, ok := statuses[subject.DestinationToken(k)]; ok {
			s.Status = &e.Record
		}
		if e, ok := lags[subject.DestinationToken(k)]; ok {
			s.Lag = &e.Record
		}
		all = append(all, s)
	}
	return all, nil
}

func everything[R event.Record](ctx context.Context, b *bus.Bus, bucket string) (map[string]bus.Entry[R], error) {
	kv, err := bus.OpenBucket[R](ctx, b, bucket)
	if err != nil {
		return nil, err
	}
	return kv.All(ctx)
}

// pressed says which streams are so full that room is made in them, or that they stand still.
func pressed(ctx context.Context, b *bus.Bus, w io.Writer) error {
	for _, stream := range []string{subject.Events, subject.Live, subject.Write} {
		l, err := b.Level(ctx, stream)
		if err != nil {
			return err
		}
		what := ""
		switch {
		case l.Full():
			what = "who writes to it waits until there is room"
		case l.Pressed():
			what = "what its readers need no more is removed before its time, and who cannot move gives up the oldest of what waits"
		}
		if what == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s is at %.0f %% of its %d MiB: %s\n", stream, 100*l.Share(), l.Limit>>20, what); err != nil {
			return err
		}
	}
	return nil
}

// table writes them as a person reads them.
func table(w io.Writer, now time.Time, all []shown) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	rows := [][]string{{"NAME", "PHASE", "RUN", "FOLDER/BRANCH", "LAST COMMIT", "WAITING", "HELD", "PENDING", "STALLED", "INCOMPLETE", "DEAD LETTERS"}}
	for _, s := range all {
		rows = append(rows, row(now, s))
	}
	for _, r := range rows {
		if _, err := fmt.Fprintln(t, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

func row(now time.Time, s shown) []string {
	const none = "-"
	folder := s.Destination.BaseFolder
	if folder == "" {
		folder = "."
	}
	phase, run, held, pending, incomplete := none, none, none, none, none
	if p := s.Phase; p != nil {
		phase, run, held = string(p.Phase), p.Reason, fmt.Sprint(p.Counts.Held)
		if p.Phase == event.Parked && p.Gap != nil && p.Gap.Missing > 0 {
			phase += fmt.Sprintf(" (%d missing)", p.Gap.Missing)
		}
		if p.Running() {
			run += " under way for " + ago(now, p.Since)
		} else {
			run += " closed " + ago(now, p.Closed) + " ago"
		}
		if p.Outcome != nil && p.Outcome.Left.Count() > 0 {
			run += fmt.Sprintf(", %d left", p.Outcome.Left.Count())
		}
		if p.Outcome != nil && p.Outcome.Pending != nil {
			pending = fmt.Sprintf("PrunePending: %d (%s)", p.Outcome.Pending.Count, p.Outcome.Pending.Run)
		}
		if p.Outcome != nil && len(p.Outcome.Incomplete) > 0 {
			incomplete = few(p.Outcome.Incomplete)
		}
	}
	if why := s.Destination.Withheld; why != "" {
		incomplete = strings.TrimPrefix(incomplete+",secrets ("+string(why)+")", none+",")
	}
	commit, stalled := none, none
	if st := s.Status; st != nil {
		switch {
		case st.DryRun != nil:
			commit = fmt.Sprintf("DryRun: %s, %s since %s ago", count(st.DryRun.Commits, "commit"), count(st.DryRun.Files, "file"), ago(now, st.DryRun.Since))
		case st.Commit != "":
			commit = fmt.Sprintf("%.8s %s ago", st.Commit, ago(now, st.Pushed))
		}
		if st.Stalled != nil {
			stalled = st.Stalled.Reason
		}
	}
	letters := none
	if s.Letters > 0 {
		letters = fmt.Sprint(s.Letters)
	}
	return []string{s.Destination.Key.String(), phase, run, folder + " on " + s.Destination.Branch, commit, onItsWay(now, s.Lag), held, pending, stalled, incomplete, letters}
}

// onItsWay is how much is on its way to the remote, and since when the oldest of it is.
func onItsWay(now time.Time, l *event.Lag) string {
	if l == nil {
		return "0"
	}
	all := l.Waiting()
	if all.Messages == 0 {
		return "0"
	}
	return fmt.Sprintf("%d for %s", all.Messages, ago(now, all.Since))
}

// few is the first of a list, and how many more there are, as kubectl shows it.
func few(all []string) string {
	const most = 3
	if len(all) <= most {
		return strings.Join(all, ",")
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(all[:most], ","), len(all)-most)
}

// ago is how long something is past, as exactly as one wants to know: 5s, 12m, 3h, 4d.
func ago(now, then time.Time) string {
	d := max(now.Sub(then), 0)
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= 2*u.unit {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
