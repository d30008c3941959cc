package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/service"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// provisionWait bounds how long provisioning waits for its server.
const provisionWait = time.Minute

func provisionCommand(env Env) *cobra.Command {
	var to bus.Access
	var replicas int
	cmd := &cobra.Command{
		Use: "provision", Short: "Make the streams that the services meet on", Args: noArgs,
		Long: `Make kubescribe's streams and buckets on a NATS server, or bring the settings of
those that are there up to date. It may be run again at any time. Services that
run by themselves wait until it was. (kubescribe run does it on its own server.)`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("replicas") && replicas != 1 && replicas != 3 {
				return usage("--replicas %d: use 1, or 3 on a cluster of NATS servers", replicas)
			}
			if err := to.Check(); err != nil {
				return usage("%w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), provisionWait)
			defer cancel()
			log := service.NewLogger(env.Stderr, slog.LevelInfo)
			b, err := bus.Connect(ctx, bus.Config{Access: to, As: subject.UserOperator, Name: "kubescribe-provision", Log: log})
			if err != nil {
				return unlessStopped(cmd.Context(), err, log)
			}
			defer b.Close()
			if err := b.Provision(ctx, bus.Options{Replicas: replicas}); err != nil {
				return unlessStopped(cmd.Context(), err, log)
			}
			_, err = fmt.Fprintf(env.Stdout, "provisioned install %s on %s\n", b.Install.Incarnation, to.URL)
			return err
		},
	}
	to.Flags(cmd.Flags().StringVar, "nats://127.0.0.1:4222", subject.UserOperator)
	cmd.Flags().IntVar(&replicas, "replicas", 0, "`copies` of each stream, 1 or 3 (default: as many as there are, 1 of a new one)")
	return cmd
}
