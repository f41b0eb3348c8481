package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

// NewCmdCompletion returns the `completion` command.
func NewCmdCompletion(d *Deps) *cobra.Command {
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print the completion script of a shell",
		Long: `Print a script that makes a shell complete slipway's commands, flags, environments and
profiles.`,
		Example: `  # bash, for this session and for all
  source <(slipway completion bash)
  slipway completion bash > ~/.local/share/bash-completion/completions/slipway

  # zsh: into a folder of $fpath
  slipway completion zsh > "${fpath[1]}/_slipway"

  # fish
  slipway completion fish > ~/.config/fish/completions/slipway.fish`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && slices.Contains(shells, args[0]) {
				return nil
			}
			return usage(cmd, fmt.Errorf("`%s` takes the name of a shell: %s", cmd.CommandPath(), strings.Join(shells, ", ")))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), d.Streams.Out
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return root.GenPowerShellCompletionWithDesc(out)
		},
	}
}
