package command

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/cosmos/cosmos-sdk/client"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/spf13/cobra"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/x/audit"
)

// beaconKeyCommand keeps the keys by which a validator contributes to the random beacon.
func beaconKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "beacon-key",
		Short: "Keys by which a validator contributes to the random beacon",
		Long:  "Keys by which a validator contributes to the random beacon. They lie in config/beacon_key.json, sign nothing and hold no money.",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "show [operator]",
			Short:   "Print the newest key, and how its operator announces it",
			Example: "cairnd beacon-key show cairn1...",
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				keys, err := node.LoadBeaconKeys(client.GetClientContextFromCmd(cmd).HomeDir)
				if err != nil {
					return err
				}
				if len(keys) == 0 {
					return fmt.Errorf("no beacon key in this home: cairnd beacon-key add makes one")
				}
				return printBeaconKey(cmd, keys[len(keys)-1], args[0])
			},
		},
		&cobra.Command{
			Use:     "add [operator]",
			Short:   "Make a new key, behind those that are there, and print how its operator announces it",
			Long:    "Make a new key, behind those that are there, and print how its operator announces it. Restart the node after that: it uses the key that the chain wants, which is the old one for two more epochs.",
			Example: "cairnd beacon-key add cairn1...",
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				if _, err := operatorBytes(args[0]); err != nil {
					return err
				}
				key, err := node.AddBeaconKey(client.GetClientContextFromCmd(cmd).HomeDir)
				if err != nil {
					return err
				}
				return printBeaconKey(cmd, key, args[0])
			},
		},
	)
	return cmd
}

// operatorBytes reads a validator's operator, as cairn1..., 0x... or cairnvaloper1....
func operatorBytes(text string) ([beacon.ValidatorSize]byte, error) {
	raw, err := app.ValidatorCodec().StringToBytes(text)
	if err != nil {
		raw, err = app.AddressCodec().StringToBytes(text)
	}
	if err != nil || len(raw) != beacon.ValidatorSize {
		return [beacon.ValidatorSize]byte{}, fmt.Errorf("%q is no operator: give its account (cairn1) or its validator address (cairnvaloper1)", text)
	}
	return [beacon.ValidatorSize]byte(raw), nil
}

func printBeaconKey(cmd *cobra.Command, key beacon.PrivateKey, operator string) error {
	validator, err := operatorBytes(operator)
	if err != nil {
		return err
	}
	clientCtx := client.GetClientContextFromCmd(cmd)
	public, proof := key.Public(), key.ProveOwner(clientCtx.ChainID, validator)
	encoder := json.NewEncoder(cmd.OutOrStdout()) // not as YAML, which would fold the command over lines
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Validator string `json:"validator"`
		ChainID   string `json:"chain_id"`
		Key       string `json:"key"`
		Proof     string `json:"proof"`
		Announce  string `json:"announce"`
	}{
		sdk.ValAddress(validator[:]).String(), clientCtx.ChainID, hex.EncodeToString(public[:]), hex.EncodeToString(proof[:]),
		fmt.Sprintf("cairnd tx audit announce-beacon-key %x %x --from %s", public, proof, sdk.AccAddress(validator[:])),
	})
}

// addBeaconKeyCommand puts a beacon key into the genesis, so that a network's first epochs have beacons.
func addBeaconKeyCommand(encoding app.Encoding) *cobra.Command {
	return &cobra.Command{
		Use:     "add-beacon-key [operator] [key]",
		Short:   "Put a validator's beacon key into genesis.json; by default the one in this home",
		Example: "cairnd genesis add-beacon-key cairn1... <key in hex>",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			home := client.GetClientContextFromCmd(cmd).HomeDir
			validator, err := operatorBytes(args[0])
			if err != nil {
				return err
			}
			key, err := chosenBeaconKey(home, args[1:])
			if err != nil {
				return err
			}
			return node.EditGenesis(home, func(state map[string]json.RawMessage) error {
				return node.SetModule(encoding.Codec, state, audit.ModuleName, func(g *auditv1.GenesisState) {
					g.Keys = append(g.Keys, auditv1.BeaconKey{
						Validator: sdk.ValAddress(validator[:]).String(), Key: key[:], FromEpoch: 1,
					})
				})
			})
		},
	}
}

func chosenBeaconKey(home string, args []string) (beacon.PublicKey, error) {
	if len(args) > 0 {
		raw, err := hex.DecodeString(args[0])
		if err != nil {
			return beacon.PublicKey{}, fmt.Errorf("key %q is not hexadecimal: %w", args[0], err)
		}
		return beacon.ParseKey(raw)
	}
	keys, err := node.LoadBeaconKeys(home)
	if err != nil {
		return beacon.PublicKey{}, err
	}
	if len(keys) == 0 {
		return beacon.PublicKey{}, fmt.Errorf("no beacon key in %s: cairnd beacon-key add makes one", home)
	}
	return keys[len(keys)-1].Public(), nil
}
