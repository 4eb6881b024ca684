package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// Box encrypts small secrets deterministically: the same plaintext always gives the same bytes, so
// that encrypted names can be looked up. What it reveals is equality and length.
//
// The construction is SIV (Rogaway and Shrimpton 2006; RFC 5297 section 2) with HMAC-SHA256 as the
// pseudorandom function and AES-256 in counter mode: tag = HMAC(k1, len(context) || context ||
// plaintext), truncated; ciphertext = CTR(k2, first 16 bytes of tag). No nonce can be misused.
type Box struct{ auth, encrypt [32]byte }

// BoxOverhead is how many bytes longer than its plaintext a sealed secret is.
const BoxOverhead = 16

func newBox(key [32]byte) Box {
	return Box{derive(key, labelAuth, nil), derive(key, labelEncrypt, nil)}
}

// Seal appends the encryption of plaintext to dst. context is authenticated with it and not stored.
func (b Box) Seal(dst, plaintext, context []byte) []byte {
	return b.seal(dst, plaintext, context, BoxOverhead)
}

// Open appends the plaintext of what Seal made with the same context; ErrCorrupt for anything else.
func (b Box) Open(dst, sealed, context []byte) ([]byte, error) {
	return b.open(dst, sealed, context, BoxOverhead)
}

func (b Box) seal(dst, plaintext, context []byte, tagSize int) []byte {
	tag := b.tag(plaintext, context)
	dst = append(dst, tag[:tagSize]...)
	start := len(dst)
	dst = append(dst, plaintext...)
	b.stream(dst[start:], tag)
	return dst
}

func (b Box) open(dst, sealed, context []byte, tagSize int) ([]byte, error) {
	if len(sealed) < tagSize {
		return dst, fmt.Errorf("opening %d bytes, want at least %d: %w", len(sealed), tagSize, ErrCorrupt)
	}
	var tag [32]byte
	copy(tag[:], sealed[:tagSize])
	start := len(dst)
	dst = append(dst, sealed[tagSize:]...)
	b.stream(dst[start:], tag)
	want := b.tag(dst[start:], context)
	if subtle.ConstantTimeCompare(want[:tagSize], tag[:tagSize]) != 1 {
		clear(dst[start:])
		return dst[:start], fmt.Errorf("opening a sealed secret: %w", ErrCorrupt)
	}
	return dst, nil
}

func (b Box) tag(plaintext, context []byte) (tag [32]byte) {
	mac := hmac.New(sha256.New, b.auth[:])
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(context)))
	mac.Write(n[:])
	mac.Write(context)
	mac.Write(plaintext)
	mac.Sum(tag[:0])
	return tag
}

func (b Box) stream(data []byte, tag [32]byte) {
	block, err := aes.NewCipher(b.encrypt[:])
	if err != nil {
		panic("seal: " + err.Error()) // 32 bytes are a valid AES key
	}
	cipher.NewCTR(block, tag[:aes.BlockSize]).XORKeyStream(data, data)
}

// names returns the box of the component names directly under p.
func (p PrefixKey) names() Box { return newBox(derive(p, labelNames, nil)) }

// EncryptPath encrypts an object key or prefix component by component: the directory structure, the
// lengths and the equality of names under one parent stay visible, names do not. Components come out
// in URL-safe base64 without padding, so that the order of names is lost; empty ones stay empty.
func (b BucketKey) EncryptPath(path string) string {
	return PrefixKey(derive(b, labelPrefix, nil)).EncryptPath(path)
}

// EncryptPath encrypts a path relative to p.
func (p PrefixKey) EncryptPath(path string) string {
	var out strings.Builder
	for {
		component, rest, more := strings.Cut(path, "/")
		if component != "" {
			sealed := p.names().Seal(nil, []byte(component), nil)
			out.WriteString(base64.RawURLEncoding.EncodeToString(sealed))
		}
		if !more {
			return out.String()
		}
		out.WriteByte('/')
		p, path = derive(p, labelPrefix, []byte(component)), rest
	}
}

// DecryptPath is the inverse of EncryptPath; ErrCorrupt for what it did not make.
func (b BucketKey) DecryptPath(path string) (string, error) {
	return PrefixKey(derive(b, labelPrefix, nil)).DecryptPath(path)
}

// DecryptPath decrypts a path relative to p.
func (p PrefixKey) DecryptPath(path string) (string, error) {
	var out strings.Builder
	for {
		component, rest, more := strings.Cut(path, "/")
		var name []byte
		if component != "" {
			sealed, err := base64.RawURLEncoding.DecodeString(component)
			if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != component {
				return "", fmt.Errorf("decrypting path component %.70q: %w", component, ErrCorrupt)
			}
			if name, err = p.names().Open(nil, sealed, nil); err != nil {
				return "", fmt.Errorf("decrypting path component %.70q: %w", component, err)
			}
			if len(name) == 0 || strings.IndexByte(string(name), '/') >= 0 {
				return "", fmt.Errorf("path component %.70q hides a separator: %w", component, ErrCorrupt)
			}
			out.Write(name)
		}
		if !more {
			return out.String(), nil
		}
		out.WriteByte('/')
		p, path = derive(p, labelPrefix, name), rest
	}
}
