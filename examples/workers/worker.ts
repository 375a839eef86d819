/** pairgate as a Worker of its own. @module */

import { createWorker, type PairgateWorker } from '../../adapters/workers.ts'

const worker: PairgateWorker<object> = createWorker()

export default worker
