// What a safetensors file says of its tensors, without reading them.
import { open } from 'node:fs/promises'
import { HdpoError } from '../core/errors.js'
import { decodeJsonObject } from '../core/json-file.js'

interface TensorEntry {
  /** 'F32', 'BF16', ... */
  dtype: string
  shape: number[]
}

/** The file begins with the length of its JSON header, a 64-bit little-endian number. */
export async function readSafetensorsHeader(path: string): Promise<Map<string, TensorEntry>> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const start = Buffer.alloc(8)
    const { bytesRead } = await file.read(start, 0, 8, 0)
    const length = bytesRead === 8 ? Number(start.readBigUInt64LE(0)) : Number.POSITIVE_INFINITY
    if (length > size - 8) {
      throw new HdpoError('ERR_POLICY_FOLDER', `${path} is not a safetensors file, or was cut off`)
    }
    const header = Buffer.alloc(length)
    await file.read(header, 0, length, 8)
    return parseHeader(header, path)
  } finally {
    await file.close()
  }
}

function parseHeader(header: Buffer, path: string): Map<string, TensorEntry> {
  const { __metadata__, ...tensors } = decodeJsonObject(header, `the header of ${path}`, 'ERR_POLICY_FOLDER')
  return new Map(Object.entries(tensors as Record<string, TensorEntry>))
}
