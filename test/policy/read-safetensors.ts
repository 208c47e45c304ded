// Reads a safetensors file as the format's own library does, without hdpo's reader.
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'

export interface StoredTensor {
  dtype: string
  shape: number[]
  data: Buffer
}

export interface SafetensorsContents {
  metadata: Record<string, string> | undefined
  /** In the order of the header. */
  tensors: Map<string, StoredTensor>
  /** Bytes of all tensors together. */
  bytes: number
}

const bytesOf: Readonly<Record<string, number>> = { F32: 4, BF16: 2 }

/**
 * Checks what the library's deserialize demands: a header within the file that begins with {, and tensors that follow one another
 * without hole, overlap or rest. The library's readers map the file, so that data has to begin at a multiple of a number's width.
 */
export function readSafetensors(path: string): SafetensorsContents {
  const file = readFileSync(path)
  const start = 8 + Number(file.readBigUInt64LE(0))
  expect(start % 8, path).toBe(0)
  expect(file[8], path).toBe('{'.charCodeAt(0))
  const { __metadata__: metadata, ...entries } = JSON.parse(file.toString('utf8', 8, start)) as {
    __metadata__?: Record<string, string>
  } & Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>
  const tensors = new Map<string, StoredTensor>()
  let place = 0
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(entries)) {
    const width = bytesOf[dtype] as number
    expect(offsets, `${path}: ${name}`).toEqual([
      place,
      place + shape.reduce((product, size) => product * size, width),
    ])
    place = offsets[1]
    tensors.set(name, { dtype, shape, data: file.subarray(start + offsets[0], start + offsets[1]) })
  }
  expect(place, path).toBe(file.length - start)
  return { metadata, tensors, bytes: place }
}

/** The numbers of a file that holds nothing but float32. */
export function readFloats(path: string): Map<string, Float32Array> {
  const { tensors } = readSafetensors(path)
  return new Map(
    [...tensors].map(([name, { dtype, data }]) => {
      expect(dtype, name).toBe('F32')
      return [name, new Float32Array(Uint8Array.from(data).buffer)]
    }),
  )
}
