package node

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// beaconKeyName is the file in config/ with the keys by which a validator contributes to beacons.
// They are no consensus keys, which may live in a signer elsewhere and sign nothing of ours: who gets
// hold of one learns a validator's outputs early, and can neither sign a block nor touch money.
const beaconKeyName = "beacon_key.json"

func beaconKeyPath(home string) string { return filepath.Join(home, "config", beaconKeyName) }

// beaconKeyFile is the file's content. Of several keys the node uses the one that the chain
// wants; the last is the newest.
type beaconKeyFile struct {
	Keys []beaconKeyEntry `json:"keys"`
}

type beaconKeyEntry struct {
	Public string `json:"public"` // hex; for people
	Seed   string `json:"seed"`   // hex; secret
}

// LoadBeaconKeys reads the beacon keys in a home, oldest first; none if there is no file.
func LoadBeaconKeys(home string) ([]beacon.PrivateKey, error) {
	path := beaconKeyPath(home)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the beacon keys: %w", err)
	}
	keys, err := parseBeaconKeys(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the beacon keys in %s: %w", path, err)
	}
	return keys, nil
}

func parseBeaconKeys(raw []byte) ([]beacon.PrivateKey, error) {
	var file beaconKeyFile
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the end")
	}
	keys := make([]beacon.PrivateKey, 0, len(file.Keys))
	for i, entry := range file.Keys {
		seed, err := hex.DecodeString(entry.Seed)
		if err != nil || len(seed) != beacon.SeedSize {
			return nil, fmt.Errorf("keys[%d]: the seed is not %d bytes in hex", i, beacon.SeedSize) // and is not shown
		}
		key := beacon.NewKey([beacon.SeedSize]byte(seed))
		if public := key.Public(); hex.EncodeToString(public[:]) != entry.Public {
			return nil, fmt.Errorf("keys[%d]: the seed makes %x, not %q", i, public, entry.Public)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// AddBeaconKey makes a new key in a home, behind those that are there: they serve until the chain
// has taken the new one over.
func AddBeaconKey(home string) (beacon.PrivateKey, error) {
	keys, err := LoadBeaconKeys(home)
	if err != nil {
		return beacon.PrivateKey{}, err
	}
	var seed [beacon.SeedSize]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return beacon.PrivateKey{}, fmt.Errorf("making a beacon key: %w", err)
	}
	key := beacon.NewKey(seed)
	file := beaconKeyFile{}
	for _, k := range append(keys, key) {
		public, seed := k.Public(), k.Seed()
		file.Keys = append(file.Keys, beaconKeyEntry{Public: hex.EncodeToString(public[:]), Seed: hex.EncodeToString(seed[:])})
	}
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return beacon.PrivateKey{}, fmt.Errorf("encoding the beacon keys: %w", err)
	}
	if err := atomicfile.Write(beaconKeyPath(home), append(raw, '\n'), atomicfile.Private); err != nil {
		return beacon.PrivateKey{}, fmt.Errorf("writing the beacon keys: %w", err)
	}
	return key, nil
}

// loadOrMakeBeaconKey gives the newest beacon key in a home, making the first.
func loadOrMakeBeaconKey(home string) (beacon.PublicKey, error) {
	keys, err := LoadBeaconKeys(home)
	if err != nil {
		return beacon.PublicKey{}, err
	}
	if len(keys) > 0 {
		return keys[len(keys)-1].Public(), nil
	}
	key, err := AddBeaconKey(home)
	if err != nil {
		return beacon.PublicKey{}, err
	}
	return key.Public(), nil
}
