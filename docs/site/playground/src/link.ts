// The program in the fragment of the page's address, which browsers keep to themselves: `#code=` and the program, deflated
// and in base64 for URLs. The site's pages make such links, too (gradls_site/playground.py).
const MOST = 400_000;

export async function written(code: string): Promise<string> {
  const stream = new Blob([code]).stream().pipeThrough(new CompressionStream('deflate-raw'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  return `#code=${btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`;
}

/** The program in a fragment, or null if there is none that can be read. */
export async function read(fragment: string): Promise<string | null> {
  const found = /^#code=([\w-]+)$/.exec(fragment)?.[1];
  if (!found) {
    return null;
  }
  try {
    const bytes = Uint8Array.from(atob(found.replaceAll('-', '+').replaceAll('_', '/')), (each) => each.charCodeAt(0));
    const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw')).getReader();
    const parts: Uint8Array[] = [];
    let size = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.length;
      if (size > MOST) {
        return null;
      }
      parts.push(part.value);
    }
    return await new Blob(parts as BlobPart[]).text();
  } catch {
    return null;
  }
}
