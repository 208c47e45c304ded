// What a safetensors file says of its tensors, without reading them.
import { type FileHandle, open } from 'node:fs/promises'
import { HdpoError } from '../core/errors.js'
import { decodeJsonObject } from '../core/json-file.js'

interface TensorEntry {
  /** 'F32', 'BF16', ... */
  dtype: string
  shape: number[]
}

/** As in the reference implementation, and in native/io/safetensors.cpp. */
const largestHeader = 100_000_000

/** The file begins with the length of its JSON header, a 64-bit little-endian number. */
export async function readSafetensorsHeader(path: string): Promise<Map<string, TensorEntry>> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const length =
      size < 8 ? Number.POSITIVE_INFINITY : Number((await readBytes(file, 0, 8, path)).readBigUInt64LE(0))
    if (length > Math.min(size - 8, largestHeader)) throw notSafetensors(path)
    return parseHeader(await readBytes(file, 8, length, path), path)
  } finally {
    await file.close()
  }
}

async function readBytes(file: FileHandle, position: number, length: number, path: string): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done)
    if (bytesRead === 0) throw notSafetensors(path)
    done += bytesRead
  }
  return bytes
}

function notSafetensors(path: string): HdpoError {
  return new HdpoError('ERR_POLICY_FOLDER', `${path} is not a safetensors file, or was cut off`)
}

function parseHeader(header: Buffer, path: string): Map<string, TensorEntry> {
  const { __metadata__, ...tensors } = decodeJsonObject(header, `the header of ${path}`, 'ERR_POLICY_FOLDER')
  for (const [name, entry] of Object.entries(tensors)) {
    if (!isTensorEntry(entry)) {
      throw new HdpoError('ERR_POLICY_FOLDER', `${path}: tensor '${name}' has no dtype and shape`)
    }
  }
  return new Map(Object.entries(tensors as Record<string, TensorEntry>))
}

function isTensorEntry(value: unknown): value is TensorEntry {
  const { dtype, shape } = (value ?? {}) as Partial<TensorEntry>
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) >= 0
  return typeof dtype === 'string' && Array.isArray(shape) && shape.every(isSize)
}
