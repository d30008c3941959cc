package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

func dlqCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dlq", Short: "Look at dead letters: what could not be written, and why", Args: noArgs,
		Long: "A dead letter is a change or a request that could not be processed, with its reason. It\n" +
			"stops nobody else, and stays until it is tried again or dropped.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(dlqListCommand(env), dlqShowCommand(env), dlqRetryCommand(env), dlqDropCommand(env))
	return cmd
}

// dlq is a command's business with dead letters.
type dlq struct {
	reach
	env         Env
	output      string
	all         bool
	destination string

	bus        *bus.Bus
	registered map[event.DestinationKey]bus.Registered
}

// do reaches the bus, and does something about letters.
func (q *dlq) do(ctx context.Context, do func(context.Context) error) (err error) {
	if err := q.check(); err != nil {
		return err
	}
	if q.bus, err = q.open(ctx, q.env); err != nil {
		return err
	}
	defer q.bus.Close()
	if q.registered, err = destinations(ctx, q.bus); err != nil {
		return err
	}
	return do(ctx)
}

// letters are those that there are; of one destination, if one is named.
func (q *dlq) letters(ctx context.Context) (all []letter, err error) {
	known := inOrder(q.registered)
	for l, err := range q.bus.Letters(ctx) {
		if err != nil {
			return nil, err
		}
		read := readLetter(l)
		all, known = append(all, read), append(known, read.whose()...)
	}
	if q.destination == "" {
		return all, nil
	}
	slices.SortFunc(known, byName)
	k, err := resolve(q.destination, slices.Compact(known))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(l letter) bool { return !slices.Contains(l.whose(), k) }), nil
}

// letter is the one of an ID.
func (q *dlq) letter(ctx context.Context, id string) (letter, error) {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil || n == 0 {
		return letter{}, usage("%q is no ID of a dead letter: those are numbers, which kubescribe dlq ls shows", id)
	}
	l, err := q.bus.Letter(ctx, n)
	if errors.Is(err, bus.ErrNoMessage) {
		return letter{}, fmt.Errorf("there is no dead letter %d; those that there are: kubescribe dlq ls%s", n, q.typed())
	}
	if err != nil {
		return letter{}, err
	}
	return readLetter(l), nil
}

// someFlags are those of commands that take an ID, or --all.
func (q *dlq) someFlags(cmd *cobra.Command) {
	q.flags(cmd)
	cmd.Flags().BoolVar(&q.all, "all", false, "all dead letters, or all of --destination")
	q.destinationFlag(cmd)
}

func (q *dlq) destinationFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&q.destination, "destination", "", "`name` of the destination whose letters are meant: as much of cluster/namespace/name as says which")
}

// some are the letters that the arguments mean.
func (q *dlq) some(ctx context.Context, args []string) ([]letter, error) {
	if q.all {
		return q.letters(ctx)
	}
	l, err := q.letter(ctx, args[0])
	return []letter{l}, err
}

// checkSome refuses what cannot be meant.
func (q *dlq) checkSome(cmd *cobra.Command, args []string) error {
	switch {
	case q.all && len(args) > 0:
		return usage("an ID and --all exclude each other")
	case q.all:
		return nil
	case q.destination != "":
		return usage("--destination goes with --all: an ID says which letter is meant")
	case len(args) == 0:
		return usage("ID is missing: %s ID, or --all", cmd.CommandPath())
	}
	return exactly("ID")(cmd, args)
}

func dlqListCommand(env Env) *cobra.Command {
	q := dlq{env: env}
	cmd := &cobra.Command{
		Use: "ls", Short: "List dead letters", Args: noArgs,
		Long:    "List dead letters, the oldest first, each with the ID that the other commands take.\n\n" + reachLong,
		Example: "  kubescribe dlq ls\n  kubescribe dlq ls --destination live -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(q.output); err != nil {
				return err
			}
			return q.do(cmd.Context(), q.list)
		},
	}
	q.flags(cmd)
	q.destinationFlag(cmd)
	outputFlag(cmd, &q.output)
	return cmd
}

func dlqShowCommand(env Env) *cobra.Command {
	q := dlq{env: env}
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a dead letter whole", Args: exactly("ID"),
		Long: "Show a dead letter: why it is one, where it stood, and what it held, unless that is\n" +
			"sensitive.\n\n" + reachLong,
		Example: "  kubescribe dlq show 17",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(q.output); err != nil {
				return err
			}
			return q.do(cmd.Context(), func(ctx context.Context) error { return q.show(ctx, args[0]) })
		},
	}
	q.flags(cmd)
	outputFlag(cmd, &q.output)
	return cmd
}

func dlqRetryCommand(env Env) *cobra.Command {
	q := dlq{env: env}
	cmd := &cobra.Command{
		Use: "retry ID | --all", Short: "Try dead letters again, once their cause is gone", Args: q.checkSome,
		Long: "Ask for what dead letters were about: for an object as it is now, which is written in the\n" +
			"order of its versions; a request is asked again. The letter is removed once that is stored.\n" +
			"What cannot be written then either is another letter.\n\n" + reachLong,
		Example: "  kubescribe dlq retry 17\n  kubescribe dlq retry --all --destination live",
		RunE: func(cmd *cobra.Command, args []string) error {
			return q.do(cmd.Context(), func(ctx context.Context) error { return q.each(ctx, args, q.retry) })
		},
	}
	q.someFlags(cmd)
	return cmd
}

func dlqDropCommand(env Env) *cobra.Command {
	q := dlq{env: env}
	cmd := &cobra.Command{
		Use: "drop ID | --all", Short: "Remove dead letters for good", Args: q.checkSome,
		Long: "Remove dead letters. What they hold is not written any more; a comparison (kubescribe\n" +
			"reconcile) finds what a folder lacks.\n\n" + reachLong,
		Example: "  kubescribe dlq drop 17\n  kubescribe dlq drop --all --destination live",
		RunE: func(cmd *cobra.Command, args []string) error {
			return q.do(cmd.Context(), func(ctx context.Context) error { return q.each(ctx, args, q.drop) })
		},
	}
	q.someFlags(cmd)
	return cmd
}

// each does something about the letters that are meant, and goes on behind one that it cannot be
// done about.
func (q *dlq) each(ctx context.Context, args []string, do func(context.Context, letter) (string, error)) error {
	some, err := q.some(ctx, args)
	if err != nil {
		return err
	}
	if len(some) == 0 {
		_, err := fmt.Fprintln(q.env.Stderr, noLetters)
		return err
	}
	var failed []error
	for _, l := range some {
		said, err := do(ctx, l)
		if err != nil {
			failed = append(failed, fmt.Errorf("dead letter %d: %w", l.ID, err))
			continue
		}
		if _, err := fmt.Fprintf(q.env.Stdout, "dead letter %d: %s\n", l.ID, said); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// retry asks for what a letter was about.
//
// A crash before the letter is removed leaves it, to be asked for again: the git-writer finds
// that the content stands.
func (q *dlq) retry(ctx context.Context, l letter) (string, error) {
	asks, err := l.asks(q.registered)
	if err != nil {
		return "", fmt.Errorf("%w; kubescribe dlq drop%s %d removes it, and kubescribe reconcile has a comparison find what a folder lacks", err, q.typed(), l.ID)
	}
	for _, a := range asks {
		if err := q.bus.Ask(ctx, a.subject, a.Request); err != nil {
			return "", err
		}
	}
	if err := q.bus.DropLetter(ctx, l.ID); err != nil {
		return "", err
	}
	return "asked for again: " + safe(l.about()), nil
}

func (q *dlq) drop(ctx context.Context, l letter) (string, error) {
	return "dropped", q.bus.DropLetter(ctx, l.ID)
}
