package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	msgv1 "cosmossdk.io/api/cosmos/msg/v1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	protov2 "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/cairn-network/cairn/app"
)

// golden compares lines with a file of testdata, or writes it where GOLDEN=write is set.
func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got := strings.Join(lines, "\n") + "\n"
	if os.Getenv("GOLDEN") == "write" {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "if the change is meant: GOLDEN=write go test ./app -run %s", t.Name())
}

func TestModuleAccountsAndTheirPermissions(t *testing.T) {
	app.Configure()
	var lines []string
	for name, permissions := range app.ModuleAccounts() {
		lines = append(lines, fmt.Sprintf("%-24s %s %s", name, authtypes.NewModuleAddress(name), strings.Join(permissions, " ")))
	}
	slices.Sort(lines)
	golden(t, "module_accounts.txt", lines)
}

// signerOf names the field of a message that signs it. Messages of the EVM recover their signer from
// the Ethereum transaction inside.
func signerOf(t *testing.T, url string) string {
	t.Helper()
	name := protoreflect.FullName(strings.TrimPrefix(url, "/"))
	switch name {
	case "cosmos.evm.vm.v1.MsgEthereumTx", "cosmos.evm.erc20.v1.MsgConvertERC20":
		return "(recovered)"
	}
	descriptor, err := proto.HybridResolver.FindDescriptorByName(name)
	require.NoError(t, err, url)
	signers, ok := protov2.GetExtension(descriptor.Options(), msgv1.E_Signer).([]string)
	require.True(t, ok)
	require.Len(t, signers, 1, "%s has %d signers: want exactly one", url, len(signers))
	return signers[0]
}

// TestEveryMessageHasOneSignerAndAHandler covers all registered messages; the golden file shows
// a review who may do what.
func TestEveryMessageHasOneSignerAndAHandler(t *testing.T) {
	c := newChain(t)
	registry := c.app.Encoding().InterfaceRegistry
	urls := registry.ListImplementations(sdk.MsgInterfaceProtoName)
	require.NotEmpty(t, urls)
	var lines []string
	for _, url := range urls {
		handler := ""
		if c.app.MsgServiceRouter().HandlerByTypeURL(url) == nil {
			handler = "  no handler"
		}
		lines = append(lines, fmt.Sprintf("%s  %s%s", url, signerOf(t, url), handler))
		if strings.HasPrefix(url, "/cairn.") {
			require.Empty(t, handler, url)
		}
	}
	slices.Sort(lines)
	golden(t, "messages.txt", lines)
}

// TestNobodySignsForAnother sends each message that names its signer in a text field in the name of
// alice, signed by mallory.
func TestNobodySignsForAnother(t *testing.T) {
	c := newChain(t, "alice", "mallory")
	alice, mallory := newUser("alice"), newUser("mallory")
	encoding := c.app.Encoding()
	tried := 0
	for _, url := range encoding.InterfaceRegistry.ListImplementations(sdk.MsgInterfaceProtoName) {
		message, err := encoding.InterfaceRegistry.Resolve(url)
		require.NoError(t, err)
		if !setText(t, message, signerOf(t, url), alice.String()) {
			continue
		}
		tried++
		results := c.next(c.sign(mallory, 0, message))
		require.NotZero(t, results[0].Code, "%s signed by another than %s", url, alice)
		if strings.HasPrefix(url, "/cairn.") { // others may dislike an empty message before its signer
			require.Contains(t, results[0].Log, "does not match signer", url)
		}
	}
	require.Greater(t, tried, 60)
}

// setText sets a field of a message by its protobuf name and says whether it is text.
func setText(t *testing.T, message sdk.Msg, field, value string) bool {
	t.Helper()
	name := protoreflect.FullName(proto.MessageName(message))
	descriptor, err := proto.HybridResolver.FindDescriptorByName(name)
	require.NoError(t, err)
	f := descriptor.(protoreflect.MessageDescriptor).Fields().ByName(protoreflect.Name(field))
	if f == nil || f.Kind() != protoreflect.StringKind || f.IsList() {
		return false
	}
	raw := protowire.AppendTag(nil, f.Number(), protowire.BytesType)
	raw = protowire.AppendString(raw, value)
	return proto.Unmarshal(raw, message) == nil
}
