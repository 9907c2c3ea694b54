/* What the plain client uses of OpenSSL 3's libcrypto, declared as its manual pages do: Debian's
   Swift comes with the library and without its headers. */

#pragma once

#include <stddef.h>

typedef struct engine_st ENGINE;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD;
typedef struct evp_pkey_ctx_st EVP_PKEY_CTX;
typedef struct evp_pkey_st EVP_PKEY;

/* The numbers of <openssl/evp.h> and <openssl/obj_mac.h>. */
#define EVP_PKEY_X25519 1034
#define EVP_PKEY_ED25519 1087
#define EVP_CTRL_AEAD_GET_TAG 0x10
#define EVP_CTRL_AEAD_SET_TAG 0x11

int RAND_bytes(unsigned char *buffer, int length);

EVP_PKEY *EVP_PKEY_new_raw_private_key(int type, ENGINE *engine, const unsigned char *key,
                                       size_t length);
EVP_PKEY *EVP_PKEY_new_raw_public_key(int type, ENGINE *engine, const unsigned char *key,
                                      size_t length);
int EVP_PKEY_get_raw_public_key(const EVP_PKEY *key, unsigned char *bytes, size_t *length);
void EVP_PKEY_free(EVP_PKEY *key);

EVP_PKEY_CTX *EVP_PKEY_CTX_new(EVP_PKEY *key, ENGINE *engine);
void EVP_PKEY_CTX_free(EVP_PKEY_CTX *context);
int EVP_PKEY_derive_init(EVP_PKEY_CTX *context);
int EVP_PKEY_derive_set_peer(EVP_PKEY_CTX *context, EVP_PKEY *peer);
int EVP_PKEY_derive(EVP_PKEY_CTX *context, unsigned char *secret, size_t *length);

EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *context);
int EVP_DigestVerifyInit(EVP_MD_CTX *context, EVP_PKEY_CTX **key_context, const EVP_MD *digest,
                         ENGINE *engine, EVP_PKEY *key);
int EVP_DigestVerify(EVP_MD_CTX *context, const unsigned char *signature, size_t signature_length,
                     const unsigned char *message, size_t message_length);

const EVP_MD *EVP_sha256(void);
unsigned char *HMAC(const EVP_MD *digest, const void *key, int key_length,
                    const unsigned char *message, size_t message_length, unsigned char *code,
                    unsigned int *code_length);

const EVP_CIPHER *EVP_aes_256_gcm(void);
EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context);
int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *context, int type, int argument, void *pointer);
int EVP_EncryptInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, ENGINE *engine,
                       const unsigned char *key, const unsigned char *nonce);
int EVP_EncryptUpdate(EVP_CIPHER_CTX *context, unsigned char *output, int *output_length,
                      const unsigned char *input, int input_length);
int EVP_EncryptFinal_ex(EVP_CIPHER_CTX *context, unsigned char *output, int *output_length);
int EVP_DecryptInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, ENGINE *engine,
                       const unsigned char *key, const unsigned char *nonce);
int EVP_DecryptUpdate(EVP_CIPHER_CTX *context, unsigned char *output, int *output_length,
                      const unsigned char *input, int input_length);
int EVP_DecryptFinal_ex(EVP_CIPHER_CTX *context, unsigned char *output, int *output_length);
