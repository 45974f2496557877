import { watchFiles } from '@dmoerm/config';
import { DmoermError } from '@dmoerm/core';
import { logger } from '@dmoerm/telemetry';
import type { experimental } from '@grpc/grpc-js';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

/** PEM files of one end of a connection. */
export interface CertificatePaths {
  /** Certificates that may sign the other end's. */
  readonly ca?: string;
  /** Own certificate, the intermediate ones behind it. */
  readonly certificate?: string;
  /** Its private key. */
  readonly key?: string;
}

interface Material {
  readonly ca: Buffer | undefined;
  readonly certificate: Buffer | undefined;
  readonly key: Buffer | undefined;
}

/**
 * Certificates from files, read again when these change: new connections use the new ones, open ones go on. Files that
 * cannot be read or do not fit together, as in the middle of a rotation, leave the last good ones in force; grpc-js's own
 * watcher would refuse all connections meanwhile.
 */
export class CertificateFiles implements experimental.CertificateProvider {
  private material: Material;
  private readonly caListeners = new Set<experimental.CaCertificateUpdateListener>();
  private readonly identityListeners = new Set<experimental.IdentityCertificateUpdateListener>();
  private unwatch: (() => void) | null = null;

  /** @throws DmoermError INVALID_ARGUMENT, reason BAD_CERTIFICATE, that names the files. */
  constructor(private readonly paths: CertificatePaths) {
    this.material = read(paths);
  }

  addCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.caListeners.add(listener);
    this.watch();
    process.nextTick(() => this.tellCa(listener));
  }

  removeCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.caListeners.delete(listener);
    this.watch();
  }

  addIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.identityListeners.add(listener);
    this.watch();
    process.nextTick(() => this.tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.identityListeners.delete(listener);
    this.watch();
  }

  /** Watches while somebody listens. */
  private watch(): void {
    const wanted = this.caListeners.size + this.identityListeners.size > 0;
    if (wanted && this.unwatch === null) {
      this.unwatch = watchFiles(Object.values(this.paths), () => this.reload());
      // What changed while nobody listened.
      this.reload();
    } else if (!wanted) {
      this.unwatch?.();
      this.unwatch = null;
    }
  }

  private reload(): void {
    try {
      this.material = read(this.paths);
    } catch (err) {
      logger.warn({ err }, 'certificates stay as they were');
      return;
    }
    for (const listener of this.identityListeners) this.tellIdentity(listener);
    for (const listener of this.caListeners) this.tellCa(listener);
  }

  private tellCa(listener: experimental.CaCertificateUpdateListener): void {
    const { ca } = this.material;
    if (ca !== undefined && this.caListeners.has(listener)) listener({ caCertificate: ca });
  }

  private tellIdentity(listener: experimental.IdentityCertificateUpdateListener): void {
    const { certificate, key } = this.material;
    if (certificate !== undefined && key !== undefined && this.identityListeners.has(listener))
      listener({ certificate, privateKey: key });
  }
}

function read(paths: CertificatePaths): Material {
  try {
    const file = (path: string | undefined): Buffer | undefined => (path && readFileSync(path)) || undefined;
    const material = { ca: file(paths.ca), certificate: file(paths.certificate), key: file(paths.key) };
    // Throws if a file is no PEM, or if key and certificate do not belong together.
    const { ca, certificate: cert, key } = material;
    createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
    return material;
  } catch (cause) {
    const files = Object.values(paths).join(', ');
    throw new DmoermError({
      code: 'INVALID_ARGUMENT',
      reason: 'BAD_CERTIFICATE',
      message: `cannot use the certificates in ${files}; they must be readable PEM files, the key that of the certificate`,
      metadata: { files },
      cause,
    });
  }
}
